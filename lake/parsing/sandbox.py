"""The walls around the process that parses: no network, no new programs, no core dumps; limits of one job.

On Linux (x86-64, aarch64) a seccomp filter refuses the system calls; elsewhere, or where the kernel has no seccomp, the
process runs without that wall. Files stay reachable: whatever parses may write where the user may.
"""

import ctypes
import platform
import resource
import struct
import sys
from pathlib import Path

from lake.contracts.model import Limits

BASE_MEMORY_MB = 256
"""What the process maps before it reads anything: Python, polars, their threads."""

SPENT_SHARE = 0.5
"""A process that still maps so much of its limit after a job is replaced: a start costs a second, a file refused for
what its predecessor needed costs a person an hour."""

_DENIED = {
    # socket, io_uring_setup (makes sockets too), execve, execveat, kill, ptrace, process_vm_readv and _writev, pidfd_getfd
    "x86_64": (0xC000003E, (41, 425, 59, 322, 62, 101, 310, 311, 438)),
    "aarch64": (0xC00000B7, (198, 425, 221, 281, 129, 117, 270, 271, 438)),
}
_X32_CALLS = 0x40000000
_LOAD_WORD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 13  # EACCES
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER_MODE = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def enter() -> bool:
    """Wall this process in for good, before it has threads; return whether the system calls are refused."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux" or platform.machine() not in _DENIED:
        return False
    code = _filter(*_DENIED[platform.machine()])
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0) == 0)


def limit(limits: Limits) -> None:
    """Set the limits of the job to come; the process that watches enforces the resident memory and the wall time."""
    memory = (limits.memory_mb + BASE_MEMORY_MB) << 20
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = int(used.ru_utime + used.ru_stime) + 2 * limits.seconds + 1
    for kind, most in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, limits.output_mb << 20),
    ):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def is_spent(limits: Limits) -> bool:
    """Whether what earlier jobs left behind (memory that allocators keep) would take from the next one what is its own."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    except (OSError, IndexError, ValueError):
        return False
    return pages * resource.getpagesize() > SPENT_SHARE * ((limits.memory_mb + BASE_MEMORY_MB) << 20)


def is_output_limit(limits: Limits) -> bool:
    """Whether what keeps this process from writing more is the contract, not the machine."""
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] == limits.output_mb << 20


def _filter(architecture: int, denied: tuple[int, ...]) -> bytes:
    """Return BPF instructions (code, jump if true, jump if false, operand): refuse what is denied or of another ABI."""
    tests = [(_IF_AT_LEAST, _X32_CALLS), *((_IF_EQUAL, number) for number in denied)]
    after_tests = len(tests)
    steps = [
        (_LOAD_WORD, 0, 0, 4),  # the ABI of the call
        (_IF_EQUAL, 0, after_tests + 2, architecture),
        (_LOAD_WORD, 0, 0, 0),  # its number
        *((code, after_tests - i, 0, operand) for i, (code, operand) in enumerate(tests)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
