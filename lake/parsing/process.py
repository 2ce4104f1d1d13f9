"""Hands jobs to the process that parses, and watches it: one that takes too long or too much is killed.

A process is warm and serves one job after the other; it is started when first needed and stays for the next ingest of
this process. What it did to a file it was killed over is undone by whoever made the job's folder.
"""

import atexit
import json
import os
import pickle
import re
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from lake.contracts.model import Column, Limits
from lake.errors import FileRefused
from lake.parsing.job import Job, Parsed, Rows
from lake.parsing.worker import LENGTH
from lake.sources.control import Reconciled
from lake.sources.drift import Drift

LOOK_S = 0.05
"""How often the memory of the process is looked at."""
MAX_ANSWER_BYTES = 8 << 20
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "HOME", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED")
_SETTINGS = {
    "POLARS_MAX_THREADS": "2",
    "OPENBLAS_NUM_THREADS": "1",
    # Blocks come and go: memory that is kept for the next one saves a tenth of the CPU (glibc only).
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}
_PART = re.compile(r"(rows-[0-9]+|refused)\.parquet")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def parse(job: Job, on_rows: Rows) -> Parsed:
    """Read a file in a process of its own; raises `FileRefused` for one that cannot be read, or not within its limits.

    Raises `OSError` when there is no room for what was read.
    """
    with _places:
        child = _take()
        try:
            answer = child.answer(job, on_rows)
        except BaseException:
            child.kill()
            raise
        if answer.get("is_spent"):
            child.kill()
        else:
            _idle.append(child)
    return _parsed(job, answer)


def close() -> None:
    """End the idle processes; the next job starts a new one."""
    while _idle:
        _idle.pop().kill()


def _take() -> "_Child":
    while _idle:
        child = _idle.pop()
        if child.is_alive:
            return child
        child.kill()
    return _Child()


def _parsed(job: Job, answer: dict[str, Any]) -> Parsed:
    if "parsed" in answer:
        try:
            return _as_parsed(answer["parsed"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileRefused(_hostile(job.name)) from error
    if "os_error" in answer:
        raise OSError(*answer["os_error"])
    if "out_of_memory" in answer:
        raise FileRefused(_too_big(job.name, job.contract.limits))
    if "failed" in answer:
        raise FileRefused(
            f"{job.name} cannot be read ({' '.join(str(answer['failed']).split())[:300]}): it is damaged, or not what the"
            f" contract {job.contract.path.name} says; correct one of them and deliver it again."
        )
    raise FileRefused(str(answer["refused"]))


def _as_parsed(told: dict[str, Any]) -> Parsed:
    """Return what the process told, no more trusted than it is: text and numbers, and names of files of its folder."""
    for name in [*told["parts"], *([told["refused"]] if told["refused"] else [])]:
        if not _PART.fullmatch(name):
            raise ValueError(f"{name!r} is no file of the job")
    return Parsed(
        **told
        | {
            "drift": [Drift(**one) for one in told["drift"]],
            "evolved": [Column(one["name"], one["source_name"], "string") for one in told["evolved"]],
            "control": [Reconciled(**one) for one in told["control"]],
        }
    )


class _Child:
    """One process that parses."""

    def __init__(self) -> None:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lake.parsing.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            # Nothing of the environment that could be a secret is within reach of what parses.
            env=environment
            | _SETTINGS
            | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
        )
        assert self.process.stdin and self.process.stdout
        self.requests, self.answers = self.process.stdin, self.process.stdout
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.answers, selectors.EVENT_READ)
        self.pending = b""

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """End the process at once and wait for it."""
        self.process.kill()
        self.requests.close()
        self.answers.close()
        self.errors.close()
        self.selector.close()
        self.process.wait()

    def answer(self, job: Job, on_rows: Rows) -> dict[str, Any]:
        """Return what it says of a job; raises `FileRefused` when it dies over it, or has to be killed."""
        limits = job.contract.limits
        deadline = time.monotonic() + limits.seconds
        request = pickle.dumps(job)
        try:
            self.requests.write(LENGTH.pack(len(request)) + request)
            self.requests.flush()
        except BrokenPipeError:
            raise FileRefused(self._last_words(job)) from None
        while True:
            for answer in self._said(job):
                if "rows" not in answer:
                    return answer
                on_rows(int(answer["rows"]))
            if self._memory_mb() > limits.memory_mb:
                raise FileRefused(_too_big(job.name, limits))
            if time.monotonic() > deadline:
                raise FileRefused(
                    f"{job.name} takes more than {limits.seconds} s to read: deliver it in smaller files, or raise"
                    f" `limits.seconds` in the contract {job.contract.path.name}."
                )

    def _said(self, job: Job) -> list[dict[str, Any]]:
        """Return the whole lines that came within a moment; `FileRefused` if no more can come."""
        if not self.selector.select(LOOK_S):
            return []
        said = os.read(self.answers.fileno(), 1 << 16)
        if not said:
            raise FileRefused(self._last_words(job))
        *lines, self.pending = (self.pending + said).split(b"\n")
        if len(self.pending) > MAX_ANSWER_BYTES:
            raise FileRefused(_hostile(job.name))
        try:
            return [dict(json.loads(line)) for line in lines]
        except (ValueError, TypeError) as error:
            raise FileRefused(_hostile(job.name)) from error

    def _memory_mb(self) -> float:
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        except (OSError, IndexError):
            return 0.0  # gone, or no Linux: there the process's own limit has to do
        return int(pages) * _PAGE_BYTES / (1 << 20)

    def _last_words(self, job: Job) -> str:
        """Say why a process died over a file."""
        self.errors.seek(0)
        words = self.errors.read()[-4000:].decode("utf-8", "replace")
        if "memory allocation of" in words or "MemoryError" in words or "Cannot allocate memory" in words:
            return _too_big(job.name, job.contract.limits)
        code = self.process.wait()
        return (
            f"{job.name} ended the process that read it ({f'signal {-code}' if code < 0 else f'exit code {code}'}): it is"
            " damaged or hostile; look at it before it is delivered again."
        )


def _hostile(name: str) -> str:
    return (
        f"{name} made the process that read it say what it never says: it is hostile; look at it with care."
    )


def _too_big(name: str, limits: Limits) -> str:
    return (
        f"{name} needs more than {limits.memory_mb} MB of memory to read: deliver it in smaller files, or raise"
        " `limits.memory_mb` in the contract."
    )


_idle: list[_Child] = []
_places = threading.BoundedSemaphore(os.cpu_count() or 2)
atexit.register(close)
# A fork shares the pipes of the processes that its parent started, so it must not use them.
os.register_at_fork(after_in_child=_idle.clear)
