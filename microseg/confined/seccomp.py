"""Which system calls remain; every other one answers EPERM. See seccomp(2) and the kernel's bpf_common.h.

The filter is a list of instructions of classic BPF: is it our architecture, is it one of these numbers.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

JOB = (
    "read", "write", "close", "lseek", "mmap", "mprotect", "munmap", "brk", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "sigaltstack", "mremap", "madvise", "sched_yield", "restart_syscall", "getpid", "gettid",
    "exit", "exit_group", "futex", "clock_gettime", "getrandom",
)  # fmt: skip
"""Memory, time, and descriptors that are open already."""

PARENT = (*JOB, "clone", "wait4", "set_robust_list", "rseq", "prlimit64", "prctl")
"""The same, and what it takes to begin a job and to narrow it further."""

_NUMBERS = {
    "x86_64": {
        "read": 0, "write": 1, "close": 3, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12,
        "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25,
        "madvise": 28, "getpid": 39, "clone": 56, "exit": 60, "wait4": 61, "sigaltstack": 131, "prctl": 157,
        "gettid": 186, "futex": 202, "restart_syscall": 219, "clock_gettime": 228, "exit_group": 231,
        "set_robust_list": 273, "prlimit64": 302, "getrandom": 318, "rseq": 334,
    },
    "aarch64": {
        "close": 57, "lseek": 62, "read": 63, "write": 64, "exit": 93, "exit_group": 94, "futex": 98,
        "set_robust_list": 99, "clock_gettime": 113, "sched_yield": 124, "restart_syscall": 128,
        "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "prctl": 167,
        "getpid": 172, "gettid": 178, "brk": 214, "munmap": 215, "mremap": 216, "clone": 220, "mmap": 222,
        "mprotect": 226, "madvise": 233, "wait4": 260, "prlimit64": 261, "getrandom": 278, "rseq": 293,
    },
}  # fmt: skip
_AUDIT_ARCH = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}

_NUMBER_AT, _ARCH_AT = 0, 4  # struct seccomp_data
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_ALLOW = 0x7FFF_0000
_REFUSE = 0x0005_0000 | errno.EPERM
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(calls: Sequence[str]) -> bool:
    """Refuse this process every other system call, for good; say whether that was possible.

    Needs no_new_privs. Not possible on architectures whose numbers aren't listed here.
    """
    machine = platform.machine()
    if machine not in _NUMBERS:
        return False
    code = filter_for(machine, calls)
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def filter_for(machine: str, calls: Sequence[str]) -> bytes:
    """Return the filter's instructions; raises KeyError for an architecture or a call that isn't listed."""
    numbers = sorted(_NUMBERS[machine][call] for call in calls)
    to_refuse = len(numbers) + 1
    code = [(_LOAD, 0, 0, _ARCH_AT), (_JUMP_EQUAL, 0, to_refuse, _AUDIT_ARCH[machine])]
    code.append((_LOAD, 0, 0, _NUMBER_AT))
    code += [(_JUMP_EQUAL, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
    code += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
