"""What the kernel refuses, translated from errno once."""

from __future__ import annotations

import errno

from microseg.reconcile.dataplane import KernelAccessError, KernelError

_ENOTSUPP = 524
"""Kernel-internal "not supported" that some BPF calls let through."""

_ADVICE = {
    errno.EPERM: "run it as root, or with CAP_BPF and CAP_NET_ADMIN",
    errno.EACCES: "run it as root, or with CAP_BPF and CAP_NET_ADMIN",
    errno.E2BIG: "the map is full: load with larger capacities (microseg.toml, [maps])",
    errno.ENOSPC: "the map is full: load with larger capacities (microseg.toml, [maps])",
    errno.ENOMEM: "the machine is out of memory for BPF maps: load with smaller capacities",
    errno.ENODEV: "the interface is gone: check `ip link`",
    errno.ENOLINK: "the interface is gone: check `ip link`",
    errno.EBUSY: "somebody else changes the same object: try again",
    errno.ENOSYS: "this kernel has no bpf(2): microseg needs Linux 5.15 or later",
    errno.EINVAL: "this kernel may be too old: microseg needs Linux 5.15 or later",
    _ENOTSUPP: "this kernel can't do that: microseg needs Linux 5.15 or later",
}


class CallError(KernelError):
    """A system call failed.

    Attributes:
        number: errno.

    """

    def __init__(self, operation: str, number: int) -> None:
        name = "ENOTSUPP" if number == _ENOTSUPP else errno.errorcode.get(number, str(number))
        super().__init__(f"cannot {operation}: {name}", advice=_ADVICE.get(number, ""))
        self.number = number


class AccessError(CallError, KernelAccessError):
    """Root, or CAP_BPF and CAP_NET_ADMIN, is missing."""


class MapFullError(CallError):
    """A map has no room for an entry."""


class NotFoundError(CallError):
    """The object or entry doesn't exist."""


class DeviceGoneError(CallError):
    """The interface doesn't exist any more (ENODEV), and a link to it leads nowhere (ENOLINK)."""


class ExistsError(CallError):
    """The object exists already."""


class UnsupportedError(CallError):
    """The running kernel can't do that."""


class LoadError(KernelError):
    """The programs could not be compiled, verified or pinned; nothing of the attempt is left."""


class IncompatibleMapError(LoadError):
    """A pinned map has another shape than the programs need."""


_TYPES: dict[int, type[CallError]] = {
    errno.EPERM: AccessError,
    errno.EACCES: AccessError,
    errno.E2BIG: MapFullError,
    errno.ENOSPC: MapFullError,
    errno.ENOENT: NotFoundError,
    errno.ENODEV: DeviceGoneError,
    errno.ENOLINK: DeviceGoneError,
    errno.EEXIST: ExistsError,
    errno.ENOSYS: UnsupportedError,
    errno.EOPNOTSUPP: UnsupportedError,
    _ENOTSUPP: UnsupportedError,
}


def call_error(operation: str, number: int) -> CallError:
    """Return the exception for an errno; operation completes "cannot ..."."""
    return _TYPES.get(number, CallError)(operation, number)
