"""One frame of every kind that the data plane has to tell apart; where the fuzzer starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DHCP6_Solicit
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLDone,
    ICMPv6MLQuery,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
)
from scapy.layers.ipsec import AH, ESP
from scapy.layers.l2 import ARP, GRE, LLC, Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData, SCTPChunkInit
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet as Frame
from scapy.packet import Raw

CLIENT, SERVER = "10.1.0.5", "10.1.0.40"
CLIENT6, SERVER6 = "2001:db8::5", "2001:db8::28"
TCP_FLAGS = ("S", "SEC", "SA", "A", "PA", "FA", "R", "RA", "F", "", "SF", "SR", "FPU", "SFRPAUEC")


def ethernet(**fields: Any) -> Frame:
    """Return a header with both addresses, which scapy would otherwise look for on the network."""
    return Ether(**{"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"} | fields)


def there(**fields: Any) -> Frame:
    return IP(src=CLIENT, dst=SERVER, **fields)


def back(**fields: Any) -> Frame:
    return IP(src=SERVER, dst=CLIENT, **fields)


def there6(**fields: Any) -> Frame:
    return IPv6(src=CLIENT6, dst=SERVER6, **fields)


def back6(**fields: Any) -> Frame:
    return IPv6(src=SERVER6, dst=CLIENT6, **fields)


def transports() -> Iterator[Frame]:
    """Yield what may stand behind an IP header of either version, from the client."""
    yield from (TCP(sport=40000, dport=80, flags=flags) / b"data" for flags in TCP_FLAGS)
    yield TCP(sport=40000, dport=22, flags="S", options=[("MSS", 1460), ("WScale", 7)])
    yield UDP(sport=40000, dport=53) / b"question"
    yield UDP(sport=67, dport=68) / b"from a low port"
    yield UDP(sport=40000, dport=53, chksum=0)
    yield SCTP(sport=40000, dport=443) / SCTPChunkInit()
    yield SCTP(sport=40000, dport=443) / SCTPChunkData(data=b"data")
    yield GRE() / IP(src="192.0.2.1", dst="192.0.2.2") / UDP()
    yield ESP(spi=7, seq=1, data=bytes(32))
    yield UDP(sport=40000, dport=4789) / VXLAN(vni=5) / ethernet() / there() / UDP()
    yield Raw(bytes(24))


def ipv4() -> Iterator[Frame]:
    for inner in transports():
        yield there() / inner
        yield there(options=[IPOption_Router_Alert(), IPOption_NOP()]) / inner
    yield back() / TCP(sport=80, dport=40000, flags="SA")
    yield back() / UDP(sport=53, dport=40000) / b"answer"
    yield there() / ICMP(type=8, id=77) / bytes(16)
    yield back() / ICMP(type=0, id=77) / bytes(16)
    yield there() / ICMP(type=13)
    yield there() / IP(src=SERVER, dst=CLIENT) / UDP()
    yield there(proto=2) / bytes(8)
    yield IP(src=CLIENT, dst="224.0.0.22", proto=2, ttl=1) / bytes(8)
    yield (
        IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP()
        / DHCP(options=[("message-type", "discover"), "end"])
    )
    yield IP(src=CLIENT, dst="224.0.0.251") / UDP(sport=5353, dport=5353) / b"query"
    yield IP(src=CLIENT, dst=CLIENT) / TCP(sport=40000, dport=80, flags="S")


def ipv6() -> Iterator[Frame]:
    for inner in transports():
        yield there6() / inner
        yield there6() / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(2))]) / inner
    yield back6() / TCP(sport=80, dport=40000, flags="SA")
    yield there6() / ICMPv6EchoRequest(id=77)
    yield back6() / ICMPv6EchoReply(id=77)
    chain = IPv6ExtHdrHopByHop(options=[PadN()]) / IPv6ExtHdrRouting(addresses=["2001:db8::9"])
    yield (
        there6()
        / chain
        / IPv6ExtHdrDestOpt()
        / AH(nh=6, payloadlen=4, icv=bytes(12))
        / TCP(sport=40000, dport=80, flags="S")
    )
    yield there6(nh=59)
    for message in (ICMPv6ND_NS(tgt=SERVER6), ICMPv6ND_NA(tgt=SERVER6), ICMPv6ND_RS(), ICMPv6ND_RA()):
        yield IPv6(src="fe80::1", dst="ff02::1", hlim=255) / message
    alert = IPv6ExtHdrHopByHop(options=[RouterAlert()])
    for report in (ICMPv6MLQuery(), ICMPv6MLDone(), ICMPv6MLReport2()):
        for sender in ("fe80::1", "::", "::5", "2001:db8::5"):
            yield IPv6(src=sender, dst="ff02::16", hlim=1) / alert / report
    yield IPv6(src="fe80::1", dst="ff02::1:2") / UDP(sport=546, dport=547) / DHCP6_Solicit()


def fragments() -> Iterator[Frame]:
    header = TCP(sport=40000, dport=80, flags="S")
    yield there(id=9, flags="MF") / header / bytes(28)
    for offset in (1, 2, 6, 100, 8189):
        yield there(id=9, frag=offset, proto=6) / Raw(bytes(40))
        yield there6() / IPv6ExtHdrFragment(offset=offset, m=0, nh=6, id=9) / Raw(bytes(40))
    yield there(id=10, flags="MF") / UDP(sport=40000, dport=53, len=900) / bytes(32)
    yield there(id=10, frag=5, flags="MF", proto=17) / Raw(bytes(40))
    yield there(id=11, flags="MF", proto=6) / Raw(bytes(8))
    yield there6() / IPv6ExtHdrFragment(offset=0, m=1, id=9) / header / bytes(28)
    yield there6() / IPv6ExtHdrFragment(offset=0, m=1, id=10) / UDP(sport=40000, dport=53, len=900) / bytes(8)
    yield there6() / IPv6ExtHdrFragment(offset=0, m=0, id=11) / header
    yield there6() / IPv6ExtHdrFragment(offset=0, m=1, nh=6, id=12) / Raw(bytes(8))


def errors() -> Iterator[Frame]:
    sent = there() / TCP(sport=40000, dport=80, flags="S")
    for kind, code in ((3, 1), (3, 4), (4, 0), (5, 1), (11, 0), (12, 0)):
        yield IP(src="192.0.2.9", dst=CLIENT) / ICMP(type=kind, code=code) / sent
    for quoted in (there() / UDP(sport=40000, dport=53), there() / ICMP(type=8, id=77)):
        yield back() / ICMP(type=3, code=3) / quoted
    yield back() / ICMP(type=3, code=4) / (there() / ICMP(type=3) / back())
    sent6 = there6() / TCP(sport=40000, dport=80, flags="S")
    for error in (ICMPv6DestUnreach(), ICMPv6PacketTooBig(), ICMPv6TimeExceeded(), ICMPv6ParamProblem()):
        yield IPv6(src="2001:db8:9::9", dst=CLIENT6) / error / sent6
    yield back6() / ICMPv6PacketTooBig() / (there6() / ICMPv6EchoRequest(id=77))
    yield back6() / ICMPv6DestUnreach() / (there6() / IPv6ExtHdrDestOpt() / UDP(sport=40000, dport=53))


def links() -> Iterator[Frame]:
    """Yield whole frames whose matter is the link layer."""
    arp = ARP(hwsrc="02:00:00:00:00:01", psrc=CLIENT, pdst=SERVER)
    syn, syn6 = there() / TCP(sport=40000, dport=80), there6() / TCP(sport=40000, dport=80)
    yield ethernet() / arp
    yield ethernet(dst="01:80:c2:00:00:0e", type=0x88CC) / bytes(46)
    yield ethernet(type=0x0026) / LLC() / bytes(35)
    for inner in (syn, syn6, arp):
        yield ethernet() / Dot1Q(vlan=5) / inner
        yield ethernet() / Dot1AD(vlan=5) / Dot1Q(vlan=6) / inner
        yield ethernet() / Dot1AD(vlan=5) / Dot1Q(vlan=6) / Dot1Q(vlan=7) / inner
    yield ethernet(type=0x86DD) / syn
    yield ethernet(type=0x0800) / syn6


def seed_frames() -> list[bytes]:
    """Return them all as Ethernet frames."""
    inside = [ethernet() / packet for kind in (ipv4, ipv6, fragments, errors) for packet in kind()]
    return [bytes(frame) for frame in (*inside, *links())]
