"""Network interfaces of the current network namespace: their index, and what their frames start with."""

from __future__ import annotations

import fcntl
import socket
import struct

from microseg.abi_flow import Link
from microseg.reconcile.dataplane import InterfaceMissingError, KernelError

_SIOCGIFHWADDR = 0x8927
_ETHERNET = (1, 772)
"""ARPHRD_ETHER and ARPHRD_LOOPBACK, whose frames have an Ethernet header."""
_HEADERLESS = (512, 519, 768, 769, 776, 65534)
"""ARPHRD_PPP, _RAWIP, _TUNNEL, _TUNNEL6, _SIT and _NONE (tun, wireguard): frames start with IP."""


def interface_index(name: str) -> int:
    """Return the index; raises InterfaceMissingError."""
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise InterfaceMissingError(
            f"there is no interface {name}", advice="`ip -br link` lists the interfaces"
        ) from error


def interface_name(index: int) -> str | None:
    """Return the name, or None when there is no such interface (any more)."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return None


def link_of(name: str) -> Link:
    """Return what the interface's frames start with; raises KernelError when that isn't known (I6)."""
    interface_index(name)
    request = struct.pack("16sH14x", name.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        reply = fcntl.ioctl(control, _SIOCGIFHWADDR, request)
    (hardware,) = struct.unpack_from("H", reply, 16)
    if hardware in _ETHERNET:
        return Link.ETHERNET
    if hardware in _HEADERLESS:
        return Link.NONE
    raise KernelError(
        f"interface {name} has hardware type {hardware}, whose frames microseg can't parse",
        advice="attach to the Ethernet or tunnel interface behind it",
    )
