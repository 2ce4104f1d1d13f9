"""The process that parses: walled in, then one job after the other from its input, until who started it is gone.

Jobs come as pickles from the one who started it; answers go back as lines of JSON, because what reads files made by
strangers may not be trusted with more.
"""

import errno
import json
import os
import pickle
import queue
import shutil
import struct
import sys
import threading
import traceback
from dataclasses import asdict
from typing import Any, BinaryIO

from lake.parsing import sandbox

_NO_ROOM = (errno.EFBIG, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)

LENGTH = struct.Struct("<Q")


def main() -> None:
    """Answer jobs until the input ends."""
    sandbox.enter()
    from lake.parsing.job import Job

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is not an answer
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    current: list[Job] = []
    threading.Thread(target=_receive, args=(sys.stdin.buffer, jobs, current), daemon=True).start()
    while True:
        job = jobs.get()
        current[:] = [job]
        answer = _answer(job, lambda rows: _say(answers, {"rows": rows}))
        current.clear()
        _say(answers, answer | {"is_spent": sandbox.is_spent(job.contract.limits)})


def _say(answers: Any, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _receive(requests: BinaryIO, jobs: "queue.SimpleQueue[Any]", current: list[Any]) -> None:
    """Queue what comes; when the other end is closed, which its death does too, leave nothing half-done and go."""
    while len(head := requests.read(LENGTH.size)) == LENGTH.size:
        jobs.put(pickle.loads(requests.read(*LENGTH.unpack(head))))
    for job in current:
        shutil.rmtree(job.folder, ignore_errors=True)
    os._exit(0)


def _answer(job: Any, on_rows: Any) -> dict[str, Any]:
    from lake.errors import FileRefused
    from lake.parsing.job import parse

    try:
        sandbox.limit(job.contract.limits)
        return {"parsed": asdict(parse(job, on_rows))}
    except FileRefused as refusal:
        return {"refused": str(refusal)}
    except MemoryError:
        return {"out_of_memory": True}
    except Exception as error:
        return _failure(job, error)


def _failure(job: Any, error: Exception) -> dict[str, Any]:
    """Tell what no reader foresaw: a limit, the disk, or a file of a kind that nobody has seen."""
    from lake.parsing.job import too_large

    number = error.errno if isinstance(error, OSError) else None
    if number is None and "File too large" in str(error):
        number = errno.EFBIG  # as libraries tell it
    if number == errno.EFBIG and sandbox.is_output_limit(job.contract.limits):
        return {"refused": too_large(job.name, job.contract.limits.output_mb)}
    if isinstance(error, ImportError) and "map segment" in str(error):
        return {"out_of_memory": True}  # as the linker tells it
    if number in _NO_ROOM:
        return {"os_error": [number, os.strerror(number), str(job.folder)]}
    traceback.print_exception(error)
    return {"failed": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
