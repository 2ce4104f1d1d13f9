"""Runs one side of a benchmark in a process of its own: ours in this venv, a peer in a venv of the peers (`make bench-setup`).

Both are a function, named by module and name, that takes and returns what JSON can hold. They are measured alike: CPU
seconds of the call, its child processes included (once they have ended) and its module's imports not; and the memory that
the process and its children had together at the worst moment, looked at every .05 s. A module of a peer imports nothing of Stocklake. What is compared and claimed stands in the benchmarks.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lake.company import PROJECT_ROOT

PEERS_PYTHON = PROJECT_ROOT / ".venv-peers" / "bin" / "python"
PEERS_NUMPY1_PYTHON = PROJECT_ROOT / ".venv-peers-numpy1" / "bin" / "python"
"""Where stockpyl runs: it needs a numpy that the other peers refuse (`peers-numpy1.in`)."""
_LOOK_S = 0.05
_RUNNER = """
import importlib, json, os, resource, sys
module, function, arguments = sys.argv[1:]
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print is not the answer
work = getattr(importlib.import_module(module), function)
before = os.times()
result = work(*json.loads(arguments))
after = os.times()
peak_kb = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
json.dump({"result": result, "cpu_s": sum(after[:4]) - sum(before[:4]), "peak_mb": peak_kb / 1024}, answer)
answer.close()
"""


@dataclass(frozen=True)
class Measured:
    """What the function returned and what it cost."""

    result: Any
    cpu_s: float
    peak_mb: float


def run_ours(module: str, function: str, *arguments: Any) -> Measured:
    """Call the function in a new process of this venv. Raises `SystemExit` with what it said when it fails."""
    return _run(Path(sys.executable), module, function, arguments)


def run_peer(module: str, function: str, *arguments: Any, python: Path = PEERS_PYTHON) -> Measured:
    """Call the function in a venv of the peers. Raises `SystemExit` when there is none, or when the function fails."""
    if not python.exists():
        raise SystemExit(
            f"The peers that {module} compares with are not set up ({python} is missing): run make bench-setup."
        )
    return _run(python, module, function, arguments)


def _run(python: Path, module: str, function: str, arguments: tuple[Any, ...]) -> Measured:
    command = [str(python), "-c", _RUNNER, module, function, json.dumps(arguments)]
    with (
        tempfile.TemporaryFile("w+") as said,
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=said, stderr=complaints, text=True) as process,
    ):
        together_mb = 0.0
        while process.poll() is None:
            together_mb = max(together_mb, _memory_mb(process.pid))
            time.sleep(_LOOK_S)
        if process.returncode != 0:
            complaints.seek(0)
            raise SystemExit(f"{module}.{function} failed in {python}:\n{complaints.read().strip()[-4000:]}")
        said.seek(0)
        measured = Measured(**json.load(said))
    return replace(measured, peak_mb=max(measured.peak_mb, together_mb))


def _memory_mb(process: int) -> float:
    """Return the resident memory of a process and all below it; what they share counts for each."""
    pages, waiting = 0, [process]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        try:
            pages += int((folder / "statm").read_text(encoding="ascii").split()[1])
            for task in (folder / "task").iterdir():
                waiting += map(int, (task / "children").read_text(encoding="ascii").split())
        except OSError:
            continue  # ended meanwhile
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
