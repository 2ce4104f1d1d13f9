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

from lake.company import PROJECT_ROOT, Company
from orchestration.instance import environment, workspace, write_settings

_GRACE_S = 15


def serve(company: Company, port: int) -> int:
    """Serve the UI on 127.0.0.1:`port` until Ctrl-C or TERM; return the exit code of a child that died, else 0."""
    write_settings(company)
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
