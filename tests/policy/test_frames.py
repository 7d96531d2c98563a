"""Packets as frames: what is written is read back, and an independent reader reads the same."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet as Frame
from scapy.packet import Raw

from microseg.policy.frames import UnreadableError, read_frame, write_frame
from microseg.policy.packet import Packet
from microseg.policy.services import Protocol

PORTS = st.integers(0, 0xFFFF)
PAIRS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)
EXTENSIONS = (0, 43, 44, 51, 60)


@given(PAIRS, st.integers(0, 255) | st.sampled_from(list(Protocol)), PORTS, PORTS)
def test_what_is_written_is_read_back(
    pair: tuple[object, object], protocol: int, port: int, sport: int
) -> None:
    src, dst = (ip_address(str(each)) for each in pair)
    assume(src.version == 4 or protocol not in EXTENSIONS)
    has_ports = protocol in set(Protocol)
    icmp = protocol in (Protocol.ICMP, Protocol.ICMPV6)
    packet = Packet(src, dst, protocol, port if has_ports else 0, sport if has_ports and not icmp else 0)
    assert read_frame(write_frame(packet)) == packet


@pytest.mark.parametrize("protocol", EXTENSIONS)
def test_an_extension_header_is_no_protocol(protocol: int) -> None:
    address = ip_address("2001:db8::1")
    with pytest.raises(ValueError, match="is an extension header"):
        write_frame(Packet(address, address, protocol))


V4 = IP(src="10.1.1.5", dst="10.1.3.10")
V6 = IPv6(src="2001:db8::5", dst="2001:db8::10")
SYN = TCP(sport=40000, dport=5432, flags="S")

READ: dict[str, tuple[Frame, tuple[int, int, int]]] = {
    "TCP": (Ether() / V4 / SYN, (6, 5432, 40000)),
    "two tags": (Ether() / Dot1AD(vlan=5) / Dot1Q(vlan=6) / V4 / SYN, (6, 5432, 40000)),
    "UDP": (Ether() / V4 / UDP(sport=68, dport=67) / b"x", (17, 67, 68)),
    "echo request": (Ether() / V4 / ICMP(type=8), (1, 8 << 8, 0)),
    "IPv6 echo request": (Ether() / V6 / ICMPv6EchoRequest(), (58, 128 << 8, 0)),
    "destination options": (Ether() / V6 / IPv6ExtHdrDestOpt() / SYN, (6, 5432, 40000)),
    "first fragment": (Ether() / IP(src="10.1.1.5", dst="10.1.3.10", flags="MF") / SYN, (6, 5432, 40000)),
    "GRE": (Ether() / IP(src="10.1.1.5", dst="10.1.3.10", proto=47) / Raw(b"x" * 30), (47, 0, 0)),
}


@pytest.mark.parametrize("name", READ)
def test_frames_of_another_writer_are_read(name: str) -> None:
    frame, expected = READ[name]
    packet = read_frame(bytes(frame))
    assert (packet.protocol, packet.port, packet.source_port) == expected
    assert str(packet.src).endswith("5")
    assert str(packet.dst).endswith("10")


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "shorter than an Ethernet header"),
    "ARP": (bytes(Ether() / ARP()), "it is ARP"),
    "another ethertype": (bytes(Ether(type=0x88CC)), "ethertype 0x88cc is not IP"),
    "three tags": (bytes(Ether() / Dot1Q() / Dot1Q() / Dot1Q() / V4), "more than two VLAN tags"),
    "cut IPv4": (bytes(Ether() / V4 / SYN)[:30], "shorter than an IPv4 header"),
    "lying IPv4": (bytes(Ether() / IP(len=90) / SYN), "total length"),
    "cut TCP": (bytes(Ether() / IP(proto=6) / b"1234"), "ends within its transport header"),
    "lying TCP": (bytes(Ether() / V4 / TCP(dataofs=4)), "data offset"),
    "lying UDP": (bytes(Ether() / V4 / UDP(len=80)), "UDP length"),
    "later fragment": (bytes(Ether() / IP(frag=9) / Raw(b"x" * 40)), "later fragment"),
    "later fragment of IPv6": (
        bytes(Ether() / V6 / IPv6ExtHdrFragment(offset=9, nh=6) / Raw(b"x" * 40)),
        "later fragment",
    ),
    "cut IPv6": (bytes(Ether() / V6 / SYN)[:40], "shorter than an IPv6 header"),
    "cut extension header": (bytes(Ether() / IPv6(nh=60) / b"1234"), "ends within an extension header"),
    "long extension header": (bytes(Ether() / IPv6(nh=60) / b"\x06\x07123456"), "longer than the packet"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_packet_says_why(name: str) -> None:
    frame, why = UNREADABLE[name]
    with pytest.raises(UnreadableError, match=why):
        read_frame(frame)


@given(
    st.binary(max_size=120) | st.binary(max_size=120).map(lambda rest: b"\0" * 12 + b"\x86\xdd\x60" + rest)
)
def test_any_bytes_are_a_packet_or_a_reason(frame: bytes) -> None:
    with suppress(UnreadableError):
        assert isinstance(read_frame(frame), Packet)
