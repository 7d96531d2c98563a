"""Ethernet headers: tags, ethertypes, and frames that the kernel has put together."""

from __future__ import annotations

import pytest
from kernel.laboratory import Laboratory
from kernel.odd_frames import (
    TCP80,
    allow_web_and_names,
    assert_dropped,
    assert_recognised,
    patched,
    v4,
    v6,
)
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet as Frame

from microseg.abi_flow import Direction
from microseg.abi_outcome import Outcome
from microseg.kernel.packet_run import FrameContext

FIRST = Ether() / v4() / TCP80
PASSING: dict[str, Frame | bytes] = {
    "one VLAN tag": Ether() / Dot1Q(vlan=5) / v4() / TCP80,
    "two VLAN tags": Ether() / Dot1AD(vlan=5) / Dot1Q(vlan=6) / v4() / TCP80,
    "two VLAN tags, IPv6": Ether() / Dot1AD(vlan=5) / Dot1Q(vlan=6) / v6() / TCP80,
}
DROPPED: dict[str, tuple[Frame | bytes, Outcome]] = {
    "three VLAN tags": (Ether() / Dot1Q() / Dot1Q() / Dot1Q() / v4() / TCP80, Outcome.DROP_VLAN_DEPTH),
    "unknown ethertype": (Ether(type=0x88CC) / bytes(60), Outcome.DROP_ETHERTYPE),
    "802.3 length": (Ether(type=0x0026) / bytes(60), Outcome.DROP_ETHERTYPE),
}


@pytest.fixture(autouse=True)
def policy(lab: Laboratory) -> None:
    allow_web_and_names(lab)


@pytest.mark.parametrize("name", PASSING)
def test_unusual_packet_is_recognised(lab: Laboratory, name: str) -> None:
    assert_recognised(lab, PASSING[name])


@pytest.mark.parametrize("name", DROPPED)
def test_wrong_packet_is_dropped_with_its_reason(lab: Laboratory, name: str) -> None:
    assert_dropped(lab, *DROPPED[name])


@pytest.mark.only_tc  # packets are put together behind XDP
def test_packet_larger_than_64_kib_is_judged(lab: Laboratory) -> None:
    raw = patched(Ether() / v4() / TCP80 / bytes(2000), 16, b"\0\0")
    context = FrameContext(gso_segs=3, gso_size=1448)
    assert lab.send(raw, Direction.EGRESS, context).outcome is Outcome.PASS_NEW
