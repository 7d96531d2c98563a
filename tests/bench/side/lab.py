"""A sender and receivers, each on a cable of its own, in network namespaces without names.

    sender  w0 ------ eth0  receiver 0  sink0
            w1 ------ eth0  receiver 1  sink0
            ...

A receiver is a host that forwards: what its filter lets pass leaves by an ifb device, which counts and
drops it. So no socket limits what is measured, TCP gets no resets, and answers can come in from behind. All
receivers have the same addresses but for that of the cable. Namespaces go away with the process that holds
them, however it ends.

Where measuring differs from a network card:
- GRO is on at eth0, because veth has no NAPI without. Packets of many UDP flows aren't merged, nor the same
  segment of TCP again and again.
- No card has verified the checksums of frames. Connection tracking is told not to, as behind a card that has.
- Neighbours are fixed, so there is no ARP; reverse path filtering is off.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from microseg.bench.readings import InterfaceCounts, parse_interface_counts

CLIENTS = {4: "10.64.0.0", 6: "fd64::"}
SERVER = {4: "10.200.0.1", 6: "fd20::1"}
CLIENT_NETWORKS = {4: "10.64.0.0/10", 6: "fd64::/96"}
RECEIVER_MAC, SENDER_MAC, SINK_MAC = (f"02:00:00:00:5d:{number:02x}" for number in (1, 2, 3))
QUIET = {
    "net/ipv6/conf/default/accept_dad": 0,
    "net/ipv6/conf/default/addr_gen_mode": 1,
    "net/ipv6/conf/default/router_solicitations": 0,
}
"""A host says nothing by itself: no link-local addresses, no search for routers."""
FORWARDING = {
    "net/ipv4/ip_forward": 1,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv6/conf/all/forwarding": 1,
}
CONNECTIONS = {
    "net/netfilter/nf_conntrack_checksum": 0,
    "net/netfilter/nf_conntrack_udp_timeout": 3600,
    "net/netfilter/nf_conntrack_udp_timeout_stream": 3600,
}
"""Where there is connection tracking."""
_CLONE_NEWNET = 0x4000_0000
_SIOCETHTOOL, _ETHTOOL_SGRO = 0x8946, 0x2C
_COUNTS = Path("/proc/thread-self/net/dev")
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Namespace:
    """A network namespace by its descriptor."""

    fd: int

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in it meanwhile: this thread, and processes that it starts."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("setns", _libc.setns(self.fd, _CLONE_NEWNET))
            try:
                yield
            finally:
                _call("setns", _libc.setns(home, _CLONE_NEWNET))
        finally:
            os.close(home)

    def run(self, *words: str, stdin: str = "", timeout_s: float = 120) -> str:
        """Run a command in it and return what it prints; raises CommandError with its own words."""
        with self.entered():
            done = subprocess.run(
                words, input=stdin, capture_output=True, text=True, check=False, timeout=timeout_s
            )
        if done.returncode:
            raise CommandError(f"{' '.join(words)}: {done.stderr.strip()[:500]}")
        return done.stdout

    def counts(self, device: str) -> InterfaceCounts:
        """Return what a device of it has received and sent."""
        with self.entered():
            found = parse_interface_counts(_COUNTS.read_text(encoding="utf-8"), device)
        assert found, device
        return found

    def index(self, device: str) -> int:
        """Return the index of a device of it."""
        with self.entered():
            return socket.if_nametoindex(device)


class CommandError(Exception):
    """A command of the laboratory failed."""


@dataclass(frozen=True)
class Receiver:
    """One filter's host.

    Attributes:
        name: whose it is.
        number: of its cable.
        inside: its namespace.
        wire: index of the sender's end of the cable, in the sender's namespace.
        sink: index of the device behind it, in its own namespace.

    """

    name: str
    number: int
    inside: Namespace
    wire: int
    sink: int

    @property
    def address(self) -> str:
        """Its own IPv4 address on the cable."""
        return f"10.0.{self.number}.1"

    def passed(self) -> int:
        """Return how many packets its filter has let pass, of those to the server."""
        return self.inside.counts("sink0").in_packets


@dataclass(frozen=True)
class Laboratory:
    """A sender and its receivers by name."""

    sender: Namespace
    receivers: dict[str, Receiver]


@contextmanager
def laboratory(*names: str) -> Iterator[Laboratory]:
    """Set up a receiver for each name."""
    opened: list[int] = []
    try:
        sender = _new_namespace(opened)
        _set(sender, QUIET)
        sender.run("ip", "link", "set", "lo", "up")
        receivers = {name: _receiver(name, n, sender, _new_namespace(opened)) for n, name in enumerate(names)}
        yield Laboratory(sender, receivers)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _new_namespace(opened: list[int]) -> Namespace:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", _libc.unshare(_CLONE_NEWNET))
        opened.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        _call("setns", _libc.setns(home, _CLONE_NEWNET))
    finally:
        os.close(home)
    return Namespace(opened[-1])


def _receiver(name: str, number: int, sender: Namespace, inside: Namespace) -> Receiver:
    for settings in (QUIET, FORWARDING, CONNECTIONS):
        _set(inside, settings)
    _lay_cable(number, sender, inside)
    sender.run("ip", "-batch", "-", stdin=_sender_commands(number))
    inside.run("ip", "-batch", "-", stdin=_receiver_commands(number))
    with inside.entered():
        _switch_gro_on("eth0")
    return Receiver(name, number, inside, sender.index(f"w{number}"), inside.index("sink0"))


def _set(inside: Namespace, settings: Mapping[str, int]) -> None:
    with inside.entered():
        for name, value in settings.items():
            path = Path("/proc/sys") / name
            if path.exists() or settings is not CONNECTIONS:
                path.write_text(str(value), encoding="ascii")


def _lay_cable(number: int, sender: Namespace, inside: Namespace) -> None:
    peer = ("peer", "name", "eth0", "address", RECEIVER_MAC, "netns", f"/proc/self/fd/{inside.fd}")
    with sender.entered():
        subprocess.run(
            ["ip", "link", "add", f"w{number}", "address", SENDER_MAC, "type", "veth", *peer],
            check=True,
            pass_fds=[inside.fd],
        )


def _sender_commands(number: int) -> str:
    return f"""\
link set w{number} up
address add 10.0.{number}.2/24 dev w{number}
neighbour add 10.0.{number}.1 lladdr {RECEIVER_MAC} dev w{number} nud permanent
"""


def _receiver_commands(number: int) -> str:
    return f"""\
link set lo up
link set eth0 up
link add sink0 address {SINK_MAC} txqueuelen 0 type ifb
link set sink0 up
address add 10.0.{number}.1/24 dev eth0
address add fd00::1/64 dev eth0 nodad
neighbour add 10.0.{number}.2 lladdr {SENDER_MAC} dev eth0 nud permanent
neighbour add fd00::2 lladdr {SENDER_MAC} dev eth0 nud permanent
route add {CLIENT_NETWORKS[4]} via 10.0.{number}.2 dev eth0
route add {CLIENT_NETWORKS[6]} via fd00::2 dev eth0
route add {SERVER[4]}/32 dev sink0
route add {SERVER[6]}/128 dev sink0
neighbour add {SERVER[4]} lladdr 02:00:00:00:5d:04 dev sink0 nud permanent
neighbour add {SERVER[6]} lladdr 02:00:00:00:5d:04 dev sink0 nud permanent
"""


def _switch_gro_on(device: str) -> None:
    """Have the kernel poll a veth device; `ethtool -K DEVICE gro on`."""
    value = ctypes.create_string_buffer(struct.pack("=II", _ETHTOOL_SGRO, 1))
    request = struct.pack("16sP16x", device.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)


def _call(what: str, result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
