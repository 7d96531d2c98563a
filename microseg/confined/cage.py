"""Giving up everything but computing: users, namespaces, files, limits, and system calls.

Each measure stands alone, so that a hole in one is covered by another. Whether enough of them took hold is
checked at the end, and a process that could still do harm refuses to work.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from microseg.confined import seccomp

if TYPE_CHECKING:
    from microseg.confined.limits import Limits

NOBODY = 65_534
"""User and group that own nothing, by convention of every distribution."""

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWIPC = 0x0800_0000
_CLONE_NEWNET = 0x4000_0000

_libc = ctypes.CDLL(None, use_errno=True)


class CageError(OSError):
    """The process could not give up what it must not have."""


def enter() -> None:
    """Give up users, files, network and what leads to them; raises CageError when too much is left.

    Only system calls that compute, talk over open descriptors, and make or await a process remain.
    """
    privileged = os.geteuid() == 0
    apart = privileged and _leave_namespaces() and _leave_files()
    if privileged:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)  # nobody else of this user may look into the process
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if _is_privileged():
        raise CageError("the compiler's process could not give up its privileges")
    if not seccomp.install(seccomp.PARENT) and not apart:
        raise CageError("the compiler's process could not give up files and network")


def enter_job(limits: Limits) -> None:
    """Narrow it further, in the process of one compilation: no more processes, bounded time and memory."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    seccomp.install(seccomp.JOB)


def _leave_namespaces() -> bool:
    """Move to a network without interfaces; say whether that was possible."""
    return bool(_libc.unshare(_CLONE_NEWNET | _CLONE_NEWIPC) == 0)


def _leave_files() -> bool:
    """Move to an empty root that is in no directory any more; say whether that was possible."""
    try:
        folder = tempfile.mkdtemp(prefix="microseg-empty-")
        os.chdir(folder)
        Path(folder).rmdir()
        os.chroot(".")
    except OSError:
        with contextlib.suppress(OSError):
            os.chdir("/")
        return False
    return True


def _is_privileged() -> bool:
    """Say whether the process has root's number or a capability."""

    class Data(ctypes.Structure):
        _fields_ = (("sets", ctypes.c_uint32 * 6),)

    header = (ctypes.c_uint32 * 2)(0x2008_0522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    sets = Data()
    if _libc.capget(header, ctypes.byref(sets)):
        return True
    return 0 in (*os.getresuid(), *os.getresgid()) or any(sets.sets[index] for index in (0, 1, 3, 4))


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise CageError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")
