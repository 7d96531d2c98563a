"""IPv6 headers: extension headers of every kind, chains of them, and lengths that lie."""

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
    v6,
)
from scapy.layers.inet6 import (
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet as Frame
from scapy.packet import Raw

from microseg.abi_outcome import Outcome

FIRST6 = Ether() / v6() / TCP80
TAGGED6 = Ether() / Dot1Q(vlan=5) / v6() / TCP80
"""PROG_TEST_RUN refuses an IP header that is cut, but doesn't look behind a tag."""
PASSING: dict[str, Frame | bytes] = {
    "IPv6": Ether() / v6() / TCP80,
    "hop-by-hop": Ether() / v6() / IPv6ExtHdrHopByHop(options=[PadN()]) / TCP80,
    "routing": Ether() / v6() / IPv6ExtHdrRouting(addresses=["2001:db8::9"]) / TCP80,
    "destination options": Ether() / v6() / IPv6ExtHdrDestOpt(options=[PadN()]) / TCP80,
    "authentication header": Ether() / v6() / AH(nh=6, payloadlen=4, icv=b"x" * 12) / TCP80,
    "atomic fragment": Ether() / v6() / IPv6ExtHdrFragment(offset=0, m=0) / TCP80,
    "first fragment": Ether() / v6() / IPv6ExtHdrFragment(offset=0, m=1) / TCP80 / b"1234",
    "three extension headers": Ether()
    / v6()
    / IPv6ExtHdrDestOpt()
    / IPv6ExtHdrDestOpt()
    / IPv6ExtHdrDestOpt()
    / TCP80,
}
DROPPED: dict[str, tuple[Frame | bytes, Outcome]] = {
    "IPv6 version 4": (patched(FIRST6, 14, b"\x40"), Outcome.DROP_IPV6_HEADER),
    "IPv6 payload beyond the frame": (patched(FIRST6, 18, struct.pack("!H", 900)), Outcome.DROP_TRUNCATED),
    "IPv6 header cut": (cut(TAGGED6, 57), Outcome.DROP_TRUNCATED),
    "extension header beyond the payload": (
        patched(Ether() / v6() / IPv6ExtHdrDestOpt(options=[PadN()]) / TCP80, 55, b"\x09"),
        Outcome.DROP_IPV6_EXTENSIONS,
    ),
    "last fragment of IPv6": (
        Ether() / v6() / IPv6ExtHdrFragment(offset=100, m=0, nh=6) / Raw(bytes(40)),
        Outcome.DROP_FRAGMENT,
    ),
    "tiny first fragment of IPv6": (
        Ether() / v6() / IPv6ExtHdrFragment(offset=0, m=1, nh=6) / Raw(bytes(8)),
        Outcome.DROP_FIRST_FRAGMENT,
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


def test_eight_extension_headers_are_the_bound(lab: Laboratory) -> None:
    def chain(count: int) -> Frame:
        frame = Ether() / v6()
        for _ in range(count):
            frame /= IPv6ExtHdrDestOpt(options=[PadN()])
        return frame / TCP80

    assert lab.outcome(chain(8)) is Outcome.PASS_NEW
    assert lab.outcome(chain(9)) is Outcome.DROP_IPV6_EXTENSIONS


def test_long_extension_headers_reach_beyond_the_linear_part(lab: Laboratory) -> None:
    options = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(200))])
    assert lab.outcome(Ether() / v6() / options / options / TCP80) is Outcome.PASS_NEW
