"""What becomes of frames of every shape: tags, options, extension headers, and headers that lie."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from kernel.laboratory import ANY, Laboratory, allow, tcp, udp
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet as Frame
from scapy.packet import Raw

from microseg.abi_flow import Direction
from microseg.abi_outcome import Outcome
from microseg.kernel.packet_run import FrameContext

CLIENT, SERVER = "10.1.1.1", "10.1.2.1"
CLIENT6, SERVER6 = "2001:db8:1::1", "2001:db8:2::1"
ANY6 = "::/0"
TCP80 = TCP(sport=40000, dport=80, flags="S")


@pytest.fixture(autouse=True)
def policy(lab: Laboratory) -> None:
    lab.enforce(allow(ANY, ANY, "tcp/80"), allow(ANY6, ANY6, "tcp/80"), allow(ANY, ANY, "udp/53"))


def v4(**fields: Any) -> Frame:
    return IP(src=CLIENT, dst=SERVER, **fields)


def v6(**fields: Any) -> Frame:
    return IPv6(src=CLIENT6, dst=SERVER6, **fields)


def cut(frame: Frame, length: int) -> bytes:
    return bytes(frame)[:length]


def patched(frame: Frame, offset: int, value: bytes) -> bytes:
    raw = bytearray(bytes(frame))
    raw[offset : offset + len(value)] = value
    return bytes(raw)


PASSING: dict[str, Frame | bytes] = {
    "one VLAN tag": Ether() / Dot1Q(vlan=5) / v4() / TCP80,
    "two VLAN tags": Ether() / Dot1AD(vlan=5) / Dot1Q(vlan=6) / v4() / TCP80,
    "two VLAN tags, IPv6": Ether() / Dot1AD(vlan=5) / Dot1Q(vlan=6) / v6() / TCP80,
    "IPv4 options": Ether() / v4(options=[IPOption_Router_Alert(), IPOption_NOP()]) / TCP80,
    "40 bytes of IPv4 options": Ether() / v4(options=[IPOption_NOP()] * 40) / TCP80,
    "TCP options": Ether() / v4() / TCP(sport=40000, dport=80, flags="S", options=[("MSS", 1460)]),
    "TCP with ECN bits": Ether() / v4() / TCP(sport=40000, dport=80, flags="SEC"),
    "IPv6": Ether() / v6() / TCP80,
    "hop-by-hop": Ether() / v6() / IPv6ExtHdrHopByHop(options=[PadN()]) / TCP80,
    "routing": Ether() / v6() / IPv6ExtHdrRouting(addresses=["2001:db8::9"]) / TCP80,
    "destination options": Ether() / v6() / IPv6ExtHdrDestOpt(options=[PadN()]) / TCP80,
    "authentication header": Ether() / v6() / AH(nh=6, payloadlen=4, icv=b"x" * 12) / TCP80,
    "atomic fragment": Ether() / v6() / IPv6ExtHdrFragment(offset=0, m=0) / TCP80,
    "first fragment": Ether() / v6() / IPv6ExtHdrFragment(offset=0, m=1) / TCP80 / b"1234",
    "first fragment, IPv4": Ether() / v4(flags="MF") / TCP80 / b"1234",
    "three extension headers": Ether()
    / v6()
    / IPv6ExtHdrDestOpt()
    / IPv6ExtHdrDestOpt()
    / IPv6ExtHdrDestOpt()
    / TCP80,
    "padding behind the packet": bytes(Ether() / v4() / TCP80) + bytes(50),
}


@pytest.mark.parametrize("name", PASSING)
def test_allowed_packet_is_recognised(lab: Laboratory, name: str) -> None:
    assert lab.outcome(PASSING[name]) is Outcome.PASS_NEW
    session = lab.session()
    assert (session.client[1], session.server[1], session.protocol) == (40000, 80, 6)


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


FIRST = Ether() / v4() / TCP80
FIRST6 = Ether() / v6() / TCP80
TAGGED = Ether() / Dot1Q(vlan=5) / v4() / TCP80
TAGGED6 = Ether() / Dot1Q(vlan=5) / v6() / TCP80
"""PROG_TEST_RUN refuses an IP header that is cut, but doesn't look behind a tag."""
DROPPED: dict[str, tuple[Frame | bytes, Outcome]] = {
    "three VLAN tags": (Ether() / Dot1Q() / Dot1Q() / Dot1Q() / v4() / TCP80, Outcome.DROP_VLAN_DEPTH),
    "unknown ethertype": (Ether(type=0x88CC) / bytes(60), Outcome.DROP_ETHERTYPE),
    "802.3 length": (Ether(type=0x0026) / bytes(60), Outcome.DROP_ETHERTYPE),
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
    "last fragment of IPv6": (
        Ether() / v6() / IPv6ExtHdrFragment(offset=100, m=0, nh=6) / Raw(bytes(40)),
        Outcome.DROP_FRAGMENT,
    ),
    "tiny first fragment": (Ether() / v4(flags="MF", proto=6) / Raw(bytes(8)), Outcome.DROP_FIRST_FRAGMENT),
    "tiny first fragment of IPv6": (
        Ether() / v6() / IPv6ExtHdrFragment(offset=0, m=1, nh=6) / Raw(bytes(8)),
        Outcome.DROP_FIRST_FRAGMENT,
    ),
    "IPv6 version 4": (patched(FIRST6, 14, b"\x40"), Outcome.DROP_IPV6_HEADER),
    "IPv6 payload beyond the frame": (patched(FIRST6, 18, struct.pack("!H", 900)), Outcome.DROP_TRUNCATED),
    "IPv6 header cut": (cut(TAGGED6, 57), Outcome.DROP_TRUNCATED),
    "extension header beyond the payload": (
        patched(Ether() / v6() / IPv6ExtHdrDestOpt(options=[PadN()]) / TCP80, 55, b"\x09"),
        Outcome.DROP_IPV6_EXTENSIONS,
    ),
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


@pytest.mark.parametrize("name", DROPPED)
def test_malformed_packet_is_dropped_with_its_reason(lab: Laboratory, name: str) -> None:
    frame, expected = DROPPED[name]
    raw = bytes(frame)
    before = lab.stats()
    lab.flows.run(raw)
    after = lab.stats()
    assert after.outcomes[expected] - before.outcomes[expected] == 1
    assert after.packets - before.packets == 1
    (event,) = lab.events()
    assert (event.outcome, event.verdict, event.rule) == (expected, None, 0)
    assert lab.sessions() == []


@pytest.mark.only_tc  # packets are put together behind XDP
def test_packet_larger_than_64_kib_is_judged(lab: Laboratory) -> None:
    raw = patched(Ether() / v4() / TCP80 / bytes(2000), 16, b"\0\0")
    context = FrameContext(gso_segs=3, gso_size=1448)
    assert lab.send(raw, Direction.EGRESS, context).outcome is Outcome.PASS_NEW


def test_both_entries_judge_alike(lab: Laboratory) -> None:
    assert lab.outcome(tcp(CLIENT, SERVER, 1, 22), Direction.EGRESS) is Outcome.DROP_DEFAULT
    assert lab.outcome(udp(CLIENT, SERVER, 1, 53), Direction.EGRESS) is Outcome.PASS_NEW
    assert lab.outcome(udp(CLIENT, SERVER, 1, 53), Direction.INGRESS) is Outcome.PASS_SESSION
