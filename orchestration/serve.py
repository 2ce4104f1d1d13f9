"""Serves the Dagster UI: a webserver and a daemon as children of this process, stopped with it.

`dagster dev` leaves children behind when it is terminated; here each child leads a process group that is ended whole.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from lake.company import PROJECT_ROOT, Company
from lake.errors import InputError
from orchestration.instance import environment, open_instance, workspace
from orchestration.orphans import fail_dead_runs

_GRACE_S = 15


def serve(company: Company, port: int) -> int:
    """Serve the UI on 127.0.0.1:`port` until Ctrl-C or TERM; return the exit code of a child that died, else 0.

    Raises `InputError` when this company's UI is being served already: two daemons would start every run twice.
    """
    lock = FileLock(company.dagster / "ui.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"A UI of company {company.name!r} is running already (lock: {lock.lock_file}): use that one, or stop it."
        ) from error
    try:
        return _serve(company, port)
    finally:
        lock.release()


def _serve(company: Company, port: int) -> int:
    with open_instance(company) as instance:
        fail_dead_runs(instance, unserved=True)
    variables = os.environ | environment(company)
    dagster = Path(sys.executable).parent
    common = ["--workspace", str(workspace())]
    commands = [
        [str(dagster / "dagster-webserver"), "--host", "127.0.0.1", "--port", str(port), *common],
        [str(dagster / "dagster-daemon"), "run", *common],
    ]
    print(f"Dagster UI of {company.settings.title}: http://127.0.0.1:{port} (Ctrl-C stops it)", flush=True)
    children: list[subprocess.Popen[bytes]] = []
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        for command in commands:
            children.append(
                subprocess.Popen(command, cwd=PROJECT_ROOT, env=variables, start_new_session=True)
            )
        return _first_to_end(children)
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(children)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _first_to_end(children: list[subprocess.Popen[bytes]]) -> int:
    while True:
        for child in children:
            code = child.poll()
            if code is not None:
                return code
        time.sleep(0.5)


def _stop(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        _signal_group(child, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_S
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.1, deadline - time.monotonic()))
        _signal_group(child, signal.SIGKILL)


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)
