"""XDP: a program on an interface's ingress as a link, before the kernel makes a socket buffer of a frame.

An interface has room for one XDP program; somebody else's is never replaced (I7). "Native" is in the driver;
"generic" is the kernel's own stand-in for drivers without XDP, later and slower, with the same verdicts.
"""

from __future__ import annotations

import errno

from microseg.abi_flow import Direction
from microseg.kernel.errors import CallError
from microseg.kernel.interfaces import interface_name
from microseg.kernel.links import Link
from microseg.reconcile.dataplane import Hook, KernelError

_GENERIC, _NATIVE = 1 << 1, 1 << 2
"""XDP_FLAGS_SKB_MODE and XDP_FLAGS_DRV_MODE."""
_TAKEN = (errno.EBUSY, errno.EEXIST)
"""A program is there, in this mode or in the other one."""
_NOT_ABOUT_MODES = (errno.EPERM, errno.EACCES, errno.ENODEV)


def create_xdp_link(program_fd: int, ifindex: int) -> Link:
    """Attach a program in the driver, or, where that can't be (no XDP, MTU too large), in the kernel.

    Raises KernelError when somebody's XDP program is there.
    """
    try:
        return Link.create(program_fd, ifindex, Hook.XDP, Direction.INGRESS, _NATIVE)
    except CallError as error:
        if error.number in _NOT_ABOUT_MODES:
            raise
        if error.number in _TAKEN:
            raise _taken(ifindex) from error
    try:
        return Link.create(program_fd, ifindex, Hook.XDP, Direction.INGRESS, _GENERIC)
    except CallError as error:
        raise (_taken(ifindex) if error.number in _TAKEN else error) from error


def _taken(ifindex: int) -> KernelError:
    name = interface_name(ifindex) or f"number {ifindex}"
    return KernelError(
        f"interface {name} has an XDP program of somebody else, and there is room for one",
        advice=f"`ip link show dev {name}` shows it; remove it with the tool that attached it, "
        "or use --hook tcx, which runs behind it",
    )
