"""VLAN tags in a frame and beside it: the kernel keeps the outer tag of what comes in in its metadata."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kernel.laboratory import Laboratory, allow, deny, run
from kernel.live_network import TwoHosts, two_hosts
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet as Frame

from microseg.abi_outcome import Outcome
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.tcx import tcx_supported
from microseg.reconcile.dataplane import Attachment, Hook

pytestmark = pytest.mark.only_tc  # attaches by itself
HOOKS = [
    pytest.param(Hook.TCX, marks=pytest.mark.skipif(not tcx_supported(), reason="kernel without TCX")),
    Hook.CLSACT,
]
PORT = 7777
PATIENCE_S = 10.0
ETH_P_ALL = 3


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


V4 = IP(src="10.1.1.1", dst="10.1.2.1") / TCP(sport=40000, dport=80, flags="S")
V6 = IPv6(src="2001:db8:1::1", dst="2001:db8:2::1") / TCP(sport=40000, dport=80, flags="S")
ONE, OUTER = Dot1Q(vlan=5), Dot1AD(vlan=5)
ARRIVING: dict[str, tuple[Frame, Outcome]] = {
    "no tag": (V4, Outcome.PASS_NEW),
    "one tag": (ONE / V4, Outcome.PASS_NEW),
    "one tag, IPv6": (ONE / V6, Outcome.PASS_NEW),
    "two tags": (OUTER / Dot1Q(vlan=6) / V4, Outcome.PASS_NEW),
    "two tags, IPv6": (OUTER / Dot1Q(vlan=6) / V6, Outcome.PASS_NEW),
    "three tags": (OUTER / Dot1Q(vlan=6) / Dot1Q(vlan=7) / V4, Outcome.DROP_VLAN_DEPTH),
}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("name", ARRIVING)
def test_tagged_frame_that_comes_in(
    lab: Laboratory, plane: PinnedDataPlane, hosts: TwoHosts, name: str, hook: Hook
) -> None:
    packet, expected = ARRIVING[name]
    frame = bytes(Ether(src=hosts.far.mac, dst=hosts.near.mac) / packet)
    with filtered(plane, hosts.near.device, hook):
        lab.enforce(allow("10.1.1.1", "10.1.2.1", "tcp"), allow("2001:db8:1::1", "2001:db8:2::1", "tcp"))
        before = lab.stats()
        with (
            hosts.at_far(),
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as wire,
        ):
            wire.bind((hosts.far.device, 0))
            wire.send(frame)
        after = lab.stats()
        assert after.outcomes[expected] - before.outcomes[expected] == 1
    if expected.passes:
        session = lab.session()
        assert (session.client[1], session.server[1], session.octets[0]) == (40000, 80, octets_seen(frame))


def octets_seen(frame: bytes) -> int:
    """Return the length at the filter, where an outer tag is no part of the frame any more."""
    tagged = frame[12:14] in (b"\x81\x00", b"\x88\xa8")
    return len(frame) - 4 * tagged


def tag(hosts: TwoHosts, *tags: tuple[str, int]) -> str:
    """Lay a VLAN in the wire, or one in another, with 10.99.0.1 and .2; returns the near device."""
    for host, where, number in ((hosts.near, (), 1), (hosts.far, ("-n", hosts.far.namespace), 2)):
        below = host.device
        for protocol, vlan in tags:
            name = f"{host.device}.{vlan}"
            kind = ("type", "vlan", "protocol", protocol, "id", str(vlan))
            run("ip", where, "link", "add", "link", below, "name", name, kind)
            run("ip", where, "link", "set", name, "up")
            below = name
        run("ip", where, "address", "add", f"10.99.0.{number}/24", "dev", below)
    return f"{hosts.near.device}.{tags[-1][1]}"


def has_vlan_devices() -> bool:
    """Say whether the kernel can make them at all (8021q)."""
    words = ["unshare", "-n", "ip", "link", "add", "link", "lo", "name", "tagged0", "type", "vlan", "id", "1"]
    refused = subprocess.run(words, check=False, capture_output=True, text=True).stderr
    return "Unknown device type" not in refused


VLANS = {"802.1Q": (("802.1Q", 5),), "802.1Q in 802.1ad": (("802.1ad", 5), ("802.1Q", 6))}


@pytest.mark.skipif(not has_vlan_devices(), reason="kernel without 8021q")
@pytest.mark.parametrize("on", ["the wire", "the VLAN"])
@pytest.mark.parametrize("name", VLANS)
def test_connection_in_a_vlan(
    lab: Laboratory, plane: PinnedDataPlane, hosts: TwoHosts, name: str, on: str
) -> None:
    device = tag(hosts, *VLANS[name])
    with filtered(plane, hosts.near.device if on == "the wire" else device, plane.preferred_hook()):
        lab.enforce(allow("10.99.0.1", "10.99.0.2", f"tcp/{PORT}"), deny("10.99.0.1", "10.99.0.2"))
        with hosts.at_far():
            listener = socket.create_server(("", PORT))
        with listener, socket.create_connection(("10.99.0.2", PORT), timeout=PATIENCE_S) as near:
            listener.settimeout(PATIENCE_S)
            far, _ = listener.accept()
            with far:
                near.sendall(b"hello")
                assert far.recv(5) == b"hello"
        before = lab.stats()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"refused", ("10.99.0.2", PORT))
        after = lab.stats()
    assert after.outcomes[Outcome.DROP_DENIED] - before.outcomes[Outcome.DROP_DENIED] == 1
