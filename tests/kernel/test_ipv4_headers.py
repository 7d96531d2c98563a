"""IPv4 headers: options, and lengths that lie."""

from __future__ import annotations

import struct

import pytest
from kernel.laboratory import Laboratory
from kernel.odd_frames import (
    TCP80,
    allow_web_and_names,
    assert_dropped,
    assert_recognised,
    cut,
    patched,
    v4,
)
from scapy.layers.inet import IPOption_NOP, IPOption_Router_Alert
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet as Frame
from scapy.packet import Raw

from microseg.abi_outcome import Outcome

FIRST = Ether() / v4() / TCP80
TAGGED = Ether() / Dot1Q(vlan=5) / v4() / TCP80
"""PROG_TEST_RUN refuses an IP header that is cut, but doesn't look behind a tag."""
PASSING: dict[str, Frame | bytes] = {
    "IPv4 options": Ether() / v4(options=[IPOption_Router_Alert(), IPOption_NOP()]) / TCP80,
    "40 bytes of IPv4 options": Ether() / v4(options=[IPOption_NOP()] * 40) / TCP80,
    "first fragment, IPv4": Ether() / v4(flags="MF") / TCP80 / b"1234",
    "padding behind the packet": bytes(Ether() / v4() / TCP80) + bytes(50),
}
DROPPED: dict[str, tuple[Frame | bytes, Outcome]] = {
    "IPv4 version 5": (patched(FIRST, 14, b"\x55"), Outcome.DROP_IPV4_HEADER),
    "IPv4 header length 16": (patched(FIRST, 14, b"\x44"), Outcome.DROP_IPV4_HEADER),
    "IPv4 total length below the header": (
        patched(FIRST, 16, struct.pack("!H", 19)),
        Outcome.DROP_IPV4_HEADER,
    ),
    "IPv4 total length 0": (patched(FIRST, 16, b"\0\0"), Outcome.DROP_IPV4_HEADER),
    "IPv4 total length beyond the frame": (patched(FIRST, 16, struct.pack("!H", 90)), Outcome.DROP_TRUNCATED),
    "IPv4 header cut": (cut(TAGGED, 37), Outcome.DROP_TRUNCATED),
    "no room for TCP in the total length": (
        patched(FIRST, 16, struct.pack("!H", 39)),
        Outcome.DROP_TRUNCATED,
    ),
    "later fragment": (Ether() / v4(frag=100) / Raw(bytes(40)), Outcome.DROP_FRAGMENT),
    "tiny first fragment": (Ether() / v4(flags="MF", proto=6) / Raw(bytes(8)), Outcome.DROP_FIRST_FRAGMENT),
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
