"""Runs one side of a benchmark in a process of its own: ours in this venv, a peer in `.venv-peers` (`make bench-setup`).

Both are a function, named by module and name, that takes and returns what JSON can hold. They are measured alike: CPU
seconds of the call, its child processes included and its module's imports not; and the peak memory of the process. A
module of a peer imports nothing of Stocklake. What is compared and claimed stands in the benchmarks.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake.company import PROJECT_ROOT

PEERS_PYTHON = PROJECT_ROOT / ".venv-peers" / "bin" / "python"
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


def run_peer(module: str, function: str, *arguments: Any) -> Measured:
    """Call the function in the peers' venv. Raises `SystemExit` when there is none, or when the function fails."""
    if not PEERS_PYTHON.exists():
        raise SystemExit(
            f"The peers that {module} compares with are not set up ({PEERS_PYTHON} is missing): run make bench-setup."
        )
    return _run(PEERS_PYTHON, module, function, arguments)


def _run(python: Path, module: str, function: str, arguments: tuple[Any, ...]) -> Measured:
    command = [str(python), "-c", _RUNNER, module, function, json.dumps(arguments)]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{module}.{function} failed in {python}:\n{done.stderr.strip()[-4000:]}")
    return Measured(**json.loads(done.stdout))
