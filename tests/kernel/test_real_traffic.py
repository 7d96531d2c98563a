"""Real sockets through the filter: large packets, pings in fragments, path MTU discovery."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from kernel.laboratory import ANY, Laboratory, allow, deny, run
from kernel.live_network import TwoHosts, received, two_hosts

from microseg.abi_flow import Stats
from microseg.abi_outcome import Outcome
from microseg.abi_session import Session, State
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.tcx import tcx_supported
from microseg.reconcile.dataplane import Attachment, Hook

pytestmark = pytest.mark.only_tc  # attaches by itself
HOOKS = [
    pytest.param(Hook.TCX, marks=pytest.mark.skipif(not tcx_supported(), reason="kernel without TCX")),
    Hook.CLSACT,
]
ANY6 = "::/0"
PORT = 7777
MEGABYTES = 64
CHUNK = bytes(1 << 20)
PATIENCE_S = 20.0
SMALL_MTU = 1300


@pytest.fixture
def hosts(namespace: None) -> Iterator[TwoHosts]:  # noqa: ARG001  # made in it
    with two_hosts() as made:
        yield made


@contextmanager
def filtered(plane: PinnedDataPlane, device: str, hook: Hook) -> Iterator[None]:
    plane.attach([Attachment(device, hook)])
    try:
        yield
    finally:
        plane.detach([device])


def drops(before: Stats, after: Stats) -> dict[str, int]:
    """Return what was dropped in between, by reason."""
    return {
        outcome.name: after.outcomes[outcome] - before.outcomes[outcome]
        for outcome in Outcome
        if not outcome.passes and after.outcomes[outcome] != before.outcomes[outcome]
    }


def transfer(sender: socket.socket, receiver: socket.socket, chunks: int = MEGABYTES) -> None:
    """Send megabytes from one socket to the other, and have all of them arrive."""
    feeder = threading.Thread(target=sender.sendall, args=(CHUNK * chunks,))
    feeder.start()
    for _ in range(chunks):
        assert len(received(receiver, len(CHUNK))) == len(CHUNK)
    feeder.join()


def connection(hosts: TwoHosts, family: socket.AddressFamily) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a TCP connection that the near host opened: (near, far)."""
    with hosts.at_far():
        listener = socket.create_server(("", PORT), family=family)
    with listener:
        address = hosts.far.address if family == socket.AF_INET else hosts.far.address6
        near = socket.create_connection((address, PORT), timeout=PATIENCE_S)
        listener.settimeout(PATIENCE_S)
        far, _ = listener.accept()
    far.settimeout(PATIENCE_S)
    return near, far


def sessions_of(lab: Laboratory, protocol: int) -> list[Session]:
    return [session for session in lab.sessions() if session.protocol == protocol]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_large_packets_pass_whole_both_ways(
    lab: Laboratory, plane: PinnedDataPlane, hosts: TwoHosts, family: socket.AddressFamily, hook: Hook
) -> None:
    with filtered(plane, hosts.near.device, hook), ExitStack() as stack:
        lab.enforce(
            allow(hosts.near.address, hosts.far.address, f"tcp/{PORT}"), allow("fd77::1", ANY6, "tcp")
        )
        before = lab.stats()
        near, far = (stack.enter_context(end) for end in connection(hosts, family))
        transfer(near, far)
        transfer(far, near)
        (session,) = sessions_of(lab, 6)
        assert drops(before, lab.stats()) == {}
    assert session.state is State.STEADY
    for octets, packets in zip(session.octets, session.packets, strict=True):
        assert octets > MEGABYTES * len(CHUNK)
        assert octets > 2 * 1500 * packets, "segments are put together (GRO) and cut late (GSO)"


@pytest.mark.parametrize("version", ["-4", "-6"])
@pytest.mark.parametrize("size", ["56", "4000"], ids=["small", "in fragments"])
def test_ping(lab: Laboratory, plane: PinnedDataPlane, hosts: TwoHosts, version: str, size: str) -> None:
    with filtered(plane, hosts.near.device, plane.preferred_hook()):
        lab.enforce(allow(ANY, ANY, "icmp/8/0"), allow(ANY6, ANY6, "icmpv6/128/0"))
        address = hosts.far.address if version == "-4" else hosts.far.address6
        before = lab.stats()
        said = run("ping", version, "-c", "3", "-i", "0.01", "-W", "2", "-s", size, address)
        after = lab.stats()
    assert " 0% packet loss" in said
    assert drops(before, after) == {}
    fragments = after.outcomes[Outcome.PASS_FRAGMENT] - before.outcomes[Outcome.PASS_FRAGMENT]
    assert fragments == (0 if size == "56" else 3 * 2 * 2), "three parts of each request and each reply"


def test_ping_that_is_not_allowed(lab: Laboratory, plane: PinnedDataPlane, hosts: TwoHosts) -> None:
    with filtered(plane, hosts.near.device, plane.preferred_hook()):
        lab.enforce(deny(ANY, ANY, "icmp"), default="allow")
        words = ["ping", "-c", "2", "-i", "0.01", "-W", "1", "-s", "4000", hosts.far.address]
        assert subprocess.run(words, check=False, capture_output=True).returncode == 1


@contextmanager
def narrow_way(hosts: TwoHosts) -> Iterator[None]:
    """Put addresses behind the far host, reached through it by a link that takes smaller packets only."""
    beyond = f"{hosts.far.namespace}b"
    far = ("-n", hosts.far.namespace)
    run("ip", "netns", "add", beyond)
    try:
        run("ip", far, "link", "add", "out0", "type", "veth", "peer", "name", "in0", "netns", beyond)
        for where, device, addresses in (
            (far, "out0", ("10.88.0.1/24", "fd88::1/64")),
            (("-n", beyond), "in0", ("10.88.0.2/24", "fd88::2/64")),
        ):
            for address in addresses:
                run(
                    "ip",
                    where,
                    "address",
                    "add",
                    address,
                    "dev",
                    device,
                    *(["nodad"] if ":" in address else []),
                )
            run("ip", where, "link", "set", device, "mtu", str(SMALL_MTU), "up")
        for version, net, router in (("-4", "10.77.0.0/24", "10.88.0.1"), ("-6", "fd77::/64", "fd88::1")):
            run("ip", "-n", beyond, version, "route", "add", net, "via", router)
        run("ip", "-4", "route", "add", "10.88.0.0/24", "via", hosts.far.address)
        run("ip", "-6", "route", "add", "fd88::/64", "via", hosts.far.address6)
        forwarding = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        run("ip", "netns", "exec", hosts.far.namespace, "sysctl", "-q", "-w", forwarding)
        yield
    finally:
        run("ip", "netns", "del", beyond)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("version", ["4", "6"])
def test_path_mtu_is_discovered(
    lab: Laboratory, plane: PinnedDataPlane, hosts: TwoHosts, version: str, hook: Hook
) -> None:
    address = "10.88.0.2" if version == "4" else "fd88::2"
    with narrow_way(hosts), filtered(plane, hosts.near.device, hook):
        lab.enforce(allow(ANY, "10.88.0.0/24", "udp"), allow(ANY6, "fd88::/64", "udp"))
        before = lab.stats()
        discovered = discover(address, version)
        after = lab.stats()
    assert discovered == SMALL_MTU
    assert after.outcomes[Outcome.PASS_ICMP_ERROR] > before.outcomes[Outcome.PASS_ICMP_ERROR]
    assert drops(before, after) == {}


IP_MTU_DISCOVER, IP_MTU, IP_PMTUDISC_DO = 10, 14, 2
IPV6_MTU_DISCOVER, IPV6_MTU = 23, 24


def discover(address: str, version: str) -> int:
    """Send datagrams that must not be fragmented until one fits, and return the path's MTU."""
    v4 = version == "4"
    level, ask, discover_option = (
        (socket.IPPROTO_IP, IP_MTU, IP_MTU_DISCOVER)
        if v4
        else (socket.IPPROTO_IPV6, IPV6_MTU, IPV6_MTU_DISCOVER)
    )
    with socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(level, discover_option, IP_PMTUDISC_DO)
        sender.settimeout(2)
        sender.connect((address, PORT))
        for _ in range(3):
            try:
                sender.send(bytes(1400))
                sender.recv(1)
            except OSError:
                continue
        return sender.getsockopt(level, ask)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_packets_beyond_64_kib(
    lab: Laboratory, plane: PinnedDataPlane, hosts: TwoHosts, family: socket.AddressFamily
) -> None:
    """BIG TCP: there is no room for the length in the IP header."""
    supported = allow_large_packets(hosts.near.device, family)
    with hosts.at_far():
        allow_large_packets(hosts.far.device, family)
    with filtered(plane, hosts.near.device, plane.preferred_hook()), ExitStack() as stack:
        lab.enforce(allow(hosts.near.address, hosts.far.address, "tcp"), allow("fd77::1", ANY6, "tcp"))
        before = lab.stats()
        near, far = (stack.enter_context(end) for end in connection(hosts, family))
        transfer(near, far)
        assert drops(before, lab.stats()) == {}
        (session,) = sessions_of(lab, 6)
    if supported:
        assert session.octets[0] > 0x10000 * session.packets[0], "most packets are larger"


LARGE_BYTES = 185_000
RTM_NEWLINK, RTM_GETLINK, NLM_F_REQUEST, NLM_F_ACK = 16, 18, 1, 4
MAX_SIZES = {socket.AF_INET6: (41, 58), socket.AF_INET: (63, 64)}
"""IFLA_GSO_MAX_SIZE and IFLA_GRO_MAX_SIZE; IFLA_GSO_IPV4_MAX_SIZE and IFLA_GRO_IPV4_MAX_SIZE, since 6.3."""


def allow_large_packets(device: str, family: socket.AddressFamily) -> bool:
    """Raise the limits of a device (iproute2 may be too old to), and say whether they are raised."""
    attributes = b"".join(struct.pack("=HHI", 8, kind, LARGE_BYTES) for kind in MAX_SIZES[family])
    ask_kernel(RTM_NEWLINK, device, attributes)
    found = dict(attributes_in(ask_kernel(RTM_GETLINK, device)[32:]))
    # A kernel ignores attributes it doesn't know.
    return all(found.get(kind) == struct.pack("=I", LARGE_BYTES) for kind in MAX_SIZES[family])


def ask_kernel(request: int, device: str, attributes: bytes = b"") -> bytes:
    """Send a request about a device over netlink, and return its answer."""
    link = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, socket.if_nametoindex(device), 0, 0)
    flags = NLM_F_REQUEST | (NLM_F_ACK if attributes else 0)
    header = struct.pack("=IHHII", 16 + len(link) + len(attributes), request, flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(header + link + attributes)
        return kernel.recv(1 << 16)


def attributes_in(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each attribute."""
    while len(octets) >= 4:
        length, kind = struct.unpack_from("=HH", octets)
        yield kind, octets[4:length]
        octets = octets[max((length + 3) & ~3, 4) :]
