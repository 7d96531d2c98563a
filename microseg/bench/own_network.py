"""Two hosts on a cable in namespaces of our own, and a BPF file system that nobody else sees.

Nothing of it has a name outside, so runs don't meet, and the kernel takes all of it away with the last
process that is inside, however that ends.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from microseg.kernel.errors import call_error
from microseg.reconcile.dataplane import KernelError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_NEWNS, _CLONE_NEWNET = 0x0002_0000, 0x4000_0000
_MS_REC, _MS_PRIVATE = 0x4000, 0x4_0000
_SIOCETHTOOL, _ETHTOOL_SGRO = 0x8946, 0x2C
_BPFFS = Path("/sys/fs/bpf")
_NAMESPACES = Path("/proc/thread-self/ns")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Host:
    """One end of the cable.

    Attributes:
        device: its interface.
        mac: address of that.
        address: its IPv4 address, and address6 that of IPv6.
        networks: what rules say it is; set aside for measurements by RFC 2544 and RFC 5180.

    """

    device: str
    mac: str
    address: str
    address6: str
    networks: str


NEAR = Host("near0", "02:00:00:00:be:01", "198.18.0.1", "2001:2::1", "198.18.0.0/16, 2001:2::/64")
FAR = Host("far0", "02:00:00:00:be:02", "198.19.0.1", "2001:2:0:1::1", "198.19.0.0/16, 2001:2:0:1::/64")


@dataclass(frozen=True, slots=True)
class OwnNetwork:
    """Both hosts: this process is on the near one.

    Attributes:
        pin_dir: where programs can be pinned.
        far_fd: the network namespace of the far host.

    """

    pin_dir: Path
    far_fd: int

    @contextmanager
    def at_far(self) -> Iterator[None]:
        """Be on the far host meanwhile; processes started then are there too."""
        with _namespace("net") as near_fd:
            _enter(self.far_fd, _CLONE_NEWNET)
            try:
                yield
            finally:
                _enter(near_fd, _CLONE_NEWNET)


@contextmanager
def own_network() -> Iterator[OwnNetwork]:
    """Make the hosts and be on the near one meanwhile; raises KernelError, without root AccessError."""
    with ExitStack() as stack:
        net_fd, mount_fd = (stack.enter_context(_namespace(kind)) for kind in ("net", "mnt"))
        _unshare(_CLONE_NEWNS)
        stack.callback(os.chdir, Path.cwd())  # entering a mount namespace leads to its root
        stack.callback(_enter, mount_fd, _CLONE_NEWNS)
        stack.callback(_enter, net_fd, _CLONE_NEWNET)
        _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
        _mount("bpf", os.fspath(_BPFFS), "bpf", 0)
        _unshare(_CLONE_NEWNET)
        network = OwnNetwork(_BPFFS / "microseg", stack.enter_context(_namespace("net")))
        _unshare(_CLONE_NEWNET)
        far = ("peer", "name", FAR.device, "address", FAR.mac, "netns", f"/proc/self/fd/{network.far_fd}")
        _ip(network, "link", "add", NEAR.device, "address", NEAR.mac, "type", "veth", *far)
        _bring_up(network, NEAR)
        with network.at_far():
            _bring_up(network, FAR)
        _ip(network, "route", "add", "198.19.0.0/16", "via", FAR.address, "dev", NEAR.device, "onlink")
        _receive_in_batches(NEAR.device)
        yield network


def _bring_up(network: OwnNetwork, host: Host) -> None:
    _ip(network, "address", "add", f"{host.address}/15", "dev", host.device)
    _ip(network, "address", "add", f"{host.address6}/48", "dev", host.device, "nodad")
    for device in ("lo", host.device):
        _ip(network, "link", "set", device, "up")


def _ip(network: OwnNetwork, *words: str) -> None:
    done = subprocess.run(  # noqa: S603  # our own words
        ["ip", *words],  # noqa: S607  # of iproute2, wherever it is
        pass_fds=[network.far_fd], capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise KernelError(f"cannot make a network of our own: ip {' '.join(words)}", log=done.stderr)


def _receive_in_batches(device: str) -> None:
    """Turn GRO on, as network cards have it; with it a veth polls (NAPI), and takes frames of XDP."""
    value = ctypes.create_string_buffer(struct.pack("=2I", _ETHTOOL_SGRO, 1), 8)
    request = struct.pack("@16sP8x", device.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)


@contextmanager
def _namespace(kind: str) -> Iterator[int]:
    """Give a descriptor of the namespace this thread is in."""
    descriptor = os.open(_NAMESPACES / kind, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _enter(descriptor: int, flag: int) -> None:
    if _libc.setns(descriptor, flag):
        raise call_error("enter a namespace", ctypes.get_errno())


def _unshare(flag: int) -> None:
    if _libc.unshare(flag):
        raise call_error("make hosts of our own", ctypes.get_errno())


def _mount(what: str, where: str, type_: str, flags: int) -> None:
    if _libc.mount(what.encode(), where.encode(), type_.encode(), flags, None):
        raise call_error(f"mount {type_ or where} for ourselves", ctypes.get_errno())
