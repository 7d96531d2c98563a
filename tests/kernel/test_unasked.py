"""What passes without being judged: the documented defaults, and that each can be changed."""

from __future__ import annotations

import pytest
from kernel.laboratory import ANY, Laboratory, allow, link, udp
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6MLQuery,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    IPv6,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import ARP, LLC, Dot3, Ether
from scapy.packet import Packet as Frame
from scapy.packet import Raw

from microseg.abi_flow import Direction
from microseg.abi_outcome import Outcome
from microseg.abi_settings import DEFAULT_UNASKED, Unasked

CLIENT, SERVER = "10.1.1.1", "10.1.2.1"
CLIENT6, SERVER6 = "2001:db8:1::1", "2001:db8:2::1"
IN, OUT = Direction.INGRESS, Direction.EGRESS
LLDP, EAPOL, LLC_FRAMES = 0x88CC, 0x888E, 4


@pytest.fixture(autouse=True)
def policy(lab: Laboratory) -> None:
    lab.enforce()


def listener(message: Frame, source: str = "fe80::1") -> Frame:
    alert = IPv6ExtHdrHopByHop(options=[RouterAlert()])
    return link() / IPv6(src=source, dst="ff02::16", hlim=1) / alert / message


def neighbour(message: Frame, hop_limit: int = 255) -> Frame:
    return link() / IPv6(src=CLIENT6, dst=SERVER6, hlim=hop_limit) / message


def dhcp(sport: int, dport: int, src: str = "0.0.0.0", dst: str = "255.255.255.255") -> Frame:
    return link() / IP(src=src, dst=dst) / UDP(sport=sport, dport=dport) / b"dhcp"


def dhcp6(sport: int, dport: int) -> Frame:
    return link() / IPv6(src="fe80::1", dst="ff02::1:2") / UDP(sport=sport, dport=dport) / b"dhcp"


DEFAULTS: dict[str, tuple[Frame, Direction, Unasked, Outcome]] = {
    "ARP": (link() / ARP(), IN, Unasked.ARP, Outcome.PASS_ARP),
    "solicitation": (neighbour(ICMPv6ND_NS(tgt=SERVER6)), IN, Unasked.NEIGHBOUR, Outcome.PASS_NEIGHBOUR),
    "advertisement": (neighbour(ICMPv6ND_NA(tgt=SERVER6)), IN, Unasked.NEIGHBOUR, Outcome.PASS_NEIGHBOUR),
    "router": (neighbour(ICMPv6ND_RA()), IN, Unasked.NEIGHBOUR, Outcome.PASS_NEIGHBOUR),
    "redirect": (neighbour(ICMPv6ND_Redirect()), IN, Unasked.NEIGHBOUR, Outcome.PASS_NEIGHBOUR),
    "listener query": (
        *(listener(ICMPv6MLQuery()), IN),
        *(Unasked.MULTICAST_LISTENER, Outcome.PASS_MULTICAST_LISTENER),
    ),
    "listener report": (
        *(listener(ICMPv6MLReport2(), "::"), IN),
        *(Unasked.MULTICAST_LISTENER, Outcome.PASS_MULTICAST_LISTENER),
    ),
    "DHCP discovery": (dhcp(68, 67), OUT, Unasked.DHCP_CLIENT, Outcome.PASS_DHCP_CLIENT),
    "DHCP offer": (dhcp(67, 68, SERVER), IN, Unasked.DHCP_CLIENT, Outcome.PASS_DHCP_CLIENT),
    "DHCP renewal": (dhcp(68, 67, CLIENT, SERVER), OUT, Unasked.DHCP_CLIENT, Outcome.PASS_DHCP_CLIENT),
    "DHCPv6 request": (dhcp6(546, 547), OUT, Unasked.DHCP_CLIENT, Outcome.PASS_DHCP_CLIENT),
    "DHCPv6 reply": (dhcp6(547, 546), IN, Unasked.DHCP_CLIENT, Outcome.PASS_DHCP_CLIENT),
}
SETTABLE: dict[str, tuple[Frame, Direction, Unasked, Outcome]] = {
    "IGMP": (
        link() / IP(src=CLIENT, dst="224.0.0.22", ttl=1, proto=2) / Raw(b"\x22" + bytes(7)),
        *(OUT, Unasked.IGMP, Outcome.PASS_IGMP),
    ),
    "multicast": (
        link() / IP(src=CLIENT, dst="224.0.0.251") / UDP(sport=5353, dport=5353),
        *(IN, Unasked.MULTICAST, Outcome.PASS_MULTICAST),
    ),
    "multicast, IPv6": (
        link() / IPv6(src="fe80::1", dst="ff02::fb") / UDP(sport=5353, dport=5353),
        *(IN, Unasked.MULTICAST, Outcome.PASS_MULTICAST),
    ),
    "broadcast": (
        link() / IP(src=CLIENT, dst="255.255.255.255") / UDP(sport=1, dport=9),
        *(IN, Unasked.BROADCAST, Outcome.PASS_BROADCAST),
    ),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_passes_by_default_and_leaves_no_session(lab: Laboratory, name: str) -> None:
    frame, direction, _, outcome = DEFAULTS[name]
    assert lab.outcome(frame, direction) is outcome
    assert lab.sessions() == []
    assert lab.events() == []


@pytest.mark.parametrize("name", DEFAULTS)
def test_default_can_be_taken_back(lab: Laboratory, name: str) -> None:
    frame, direction, flag, _ = DEFAULTS[name]
    lab.set(unasked=DEFAULT_UNASKED & ~flag)
    expected = Outcome.DROP_ETHERTYPE if name == "ARP" else Outcome.DROP_DEFAULT
    assert lab.outcome(frame, direction) is expected


@pytest.mark.parametrize("name", SETTABLE)
def test_is_judged_by_default(lab: Laboratory, name: str) -> None:
    frame, direction, _, _ = SETTABLE[name]
    assert lab.outcome(frame, direction) is Outcome.DROP_DEFAULT
    lab.enforce(allow(ANY, ANY), allow("::/0", "::/0"))
    assert lab.outcome(frame, direction) is Outcome.PASS_NEW


@pytest.mark.parametrize("name", SETTABLE)
def test_can_be_set_to_pass(lab: Laboratory, name: str) -> None:
    frame, direction, flag, outcome = SETTABLE[name]
    lab.set(unasked=flag)
    assert lab.outcome(frame, direction) is outcome
    assert lab.sessions() == []


NO_EXCEPTION: dict[str, tuple[Frame, Direction]] = {
    "neighbour discovery from afar": (neighbour(ICMPv6ND_NS(tgt=SERVER6), hop_limit=254), IN),
    "neighbour discovery with a code": (neighbour(ICMPv6ND_NS(tgt=SERVER6, code=1)), IN),
    "listener report from afar": (listener(ICMPv6MLReport2(), CLIENT6), IN),
    "DHCP of another host's client": (dhcp(68, 67), IN),
    "answers to it": (dhcp(67, 68, SERVER), OUT),
    "DHCP over TCP": (link() / IP(src=CLIENT, dst=SERVER) / TCP(sport=67, dport=68), IN),
    "DHCPv6's ports over IPv4": (dhcp(547, 546, SERVER), IN),
    "ICMPv6 over IPv4": (
        link() / IP(src=CLIENT, dst=SERVER, ttl=255, proto=58) / Raw(b"\x87" + bytes(7)),
        IN,
    ),
}


@pytest.mark.parametrize("name", NO_EXCEPTION)
def test_what_only_looks_like_it_is_judged(lab: Laboratory, name: str) -> None:
    frame, direction = NO_EXCEPTION[name]
    assert lab.outcome(frame, direction) is Outcome.DROP_DEFAULT


def test_ethertypes_can_be_set_to_pass(lab: Laboratory) -> None:
    frames = [Ether(type=ethertype) / bytes(50) for ethertype in (LLDP, EAPOL)]
    assert [lab.outcome(frame) for frame in frames] == [Outcome.DROP_ETHERTYPE] * 2
    lab.set(ethertypes=(0x8137, LLDP))
    assert [lab.outcome(frame) for frame in frames] == [Outcome.PASS_ETHERTYPE, Outcome.DROP_ETHERTYPE]


def test_frames_of_802_3_pass_together(lab: Laboratory) -> None:
    spanning_tree = (
        Dot3(src="02:00:00:00:00:01", dst="01:80:c2:00:00:00") / LLC(dsap=0x42, ssap=0x42) / bytes(40)
    )
    assert lab.outcome(spanning_tree) is Outcome.DROP_ETHERTYPE
    lab.set(ethertypes=(LLC_FRAMES,))
    assert lab.outcome(spanning_tree) is Outcome.PASS_ETHERTYPE
    assert lab.outcome(Ether(type=LLDP) / bytes(50)) is Outcome.DROP_ETHERTYPE


def test_ip_can_not_be_set_to_pass(lab: Laboratory) -> None:
    lab.set(ethertypes=(0x0800, 0x86DD))
    assert lab.outcome(udp(CLIENT, SERVER, 1, 2)) is Outcome.DROP_DEFAULT


@pytest.mark.parametrize("source", ["224.0.0.5", "239.255.255.255", "255.255.255.255"])
def test_nobody_sends_from_a_group_s_address(lab: Laboratory, source: str) -> None:
    lab.enforce(default="allow")
    assert lab.outcome(udp(source, SERVER, 1, 2)) is Outcome.DROP_SOURCE
    assert lab.outcome(link() / IPv6(src="ff02::1", dst=SERVER6) / UDP()) is Outcome.DROP_SOURCE


def test_a_group_is_no_server_that_answers(lab: Laboratory) -> None:
    lab.enforce(default="allow")
    lab.send(udp(CLIENT, "224.0.0.251", 5353, 5353))
    assert lab.outcome(udp("224.0.0.251", CLIENT, 5353, 5353)) is Outcome.DROP_SOURCE


def test_exceptions_hold_in_questions_too(lab: Laboratory) -> None:
    assert lab.ask(neighbour(ICMPv6ND_NS(tgt=SERVER6))).outcome is Outcome.PASS_NEIGHBOUR
    assert lab.ask(link() / IP(src=CLIENT, dst=SERVER) / ICMP(type=8)).outcome is None
