"""Giving up the capabilities an agent does not need, its own and those of what it starts; capabilities(7)."""

from __future__ import annotations

import contextlib
import ctypes
import os
from enum import IntEnum

_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_VERSION_3 = 0x2008_0522
_LAST = 63


class Capability(IntEnum):
    """What an agent keeps; the numbers are the kernel's."""

    DAC_OVERRIDE = 1
    """Files of other users: a work tree that somebody else edits, a directory made by another."""
    DAC_READ_SEARCH = 2
    """Likewise."""
    KILL = 5
    """Ending the confined compiler, which is another user's process."""
    SETGID = 6
    """Making the confined compiler nobody."""
    SETUID = 7
    """Likewise."""
    NET_ADMIN = 12
    """Attaching programs to interfaces."""
    SYS_CHROOT = 18
    """Taking the confined compiler's files away."""
    PERFMON = 38
    """Loading programs that read what they're given."""
    BPF = 39
    """Programs and maps."""


def keep(capabilities: frozenset[Capability] = frozenset(Capability)) -> None:
    """Give up every other capability, for good; a process that has none of them is left alone.

    Raises OSError when the kernel refuses.
    """
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for number in range(_LAST + 1):
        if number not in capabilities and libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            with contextlib.suppress(PermissionError):  # without SETPCAP what it starts can't be narrowed
                _checked(libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0))
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    _checked(libc.capget(header, sets))
    for half in range(2):
        kept = sum(1 << (it - 32 * half) for it in capabilities if it // 32 == half)
        effective, permitted, inheritable = range(3 * half, 3 * half + 3)
        sets[effective] &= kept
        sets[permitted] &= kept
        sets[inheritable] = 0
    _checked(libc.capset(header, sets))


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"capabilities can't be given up: {os.strerror(number)}")
