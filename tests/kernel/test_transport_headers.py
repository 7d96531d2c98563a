"""TCP and UDP headers: options, flags, and lengths that lie."""

from __future__ import annotations

import pytest
from kernel.laboratory import Laboratory, tcp, udp
from kernel.odd_frames import (
    CLIENT,
    SERVER,
    TCP80,
    allow_web_and_names,
    assert_dropped,
    assert_recognised,
    patched,
    v4,
)
from scapy.layers.inet import TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Frame

from microseg.abi_flow import Direction
from microseg.abi_outcome import Outcome

FIRST = Ether() / v4() / TCP80
PASSING: dict[str, Frame | bytes] = {
    "TCP options": Ether() / v4() / TCP(sport=40000, dport=80, flags="S", options=[("MSS", 1460)]),
    "TCP with ECN bits": Ether() / v4() / TCP(sport=40000, dport=80, flags="SEC"),
}
DROPPED: dict[str, tuple[Frame | bytes, Outcome]] = {
    "TCP data offset 4": (patched(FIRST, 46, b"\x40"), Outcome.DROP_TCP_HEADER),
    "TCP data offset beyond the packet": (patched(FIRST, 46, b"\x60"), Outcome.DROP_TCP_HEADER),
    "TCP without flags": (Ether() / v4() / TCP(dport=80, flags=""), Outcome.DROP_TCP_FLAGS),
    "TCP SYN and FIN": (Ether() / v4() / TCP(dport=80, flags="SF"), Outcome.DROP_TCP_FLAGS),
    "TCP SYN and RST": (Ether() / v4() / TCP(dport=80, flags="SR"), Outcome.DROP_TCP_FLAGS),
    "TCP FIN without ACK": (Ether() / v4() / TCP(dport=80, flags="FPU"), Outcome.DROP_TCP_FLAGS),
    "UDP length below its header": (Ether() / v4() / UDP(dport=53, len=7) / b"abcd", Outcome.DROP_UDP_LENGTH),
    "UDP length beyond the packet": (
        Ether() / v4() / UDP(dport=53, len=80) / b"abcd",
        Outcome.DROP_UDP_LENGTH,
    ),
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


def test_both_entries_judge_alike(lab: Laboratory) -> None:
    assert lab.outcome(tcp(CLIENT, SERVER, 1, 22), Direction.EGRESS) is Outcome.DROP_DEFAULT
    assert lab.outcome(udp(CLIENT, SERVER, 1, 53), Direction.EGRESS) is Outcome.PASS_NEW
    assert lab.outcome(udp(CLIENT, SERVER, 1, 53), Direction.INGRESS) is Outcome.PASS_SESSION
