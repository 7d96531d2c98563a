"""Fragments: the first one is judged, others follow it; what could rewrite a judged header is dropped."""

from __future__ import annotations

from typing import Any

import pytest
from kernel.laboratory import ANY, Laboratory, allow, deny, link, tcp, udp
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN
from scapy.packet import Packet as Frame
from scapy.packet import Raw

from microseg.abi_outcome import Outcome
from microseg.abi_session import State
from microseg.abi_settings import Idle

WEB, APP = "10.1.1.0/24", "10.1.2.0/24"
CLIENT, SERVER = "10.1.1.1", "10.1.2.1"
CLIENT6, SERVER6 = "2001:db8:1::1", "2001:db8:2::1"
ANY6 = "::/0"
BYTES = 64
"""Payload of each fragment here."""


def datagram(sport: int = 4000, dport: int = 53, *, parts: int = 3) -> bytes:
    """Return a UDP datagram that fills so many fragments."""
    header = UDP(sport=sport, dport=dport, len=parts * BYTES)
    return bytes(header / Raw(bytes(parts * BYTES - 8)))


def fragment4(
    offset: int, payload: bytes, *, more: bool = True, identification: int = 77, **ip: Any
) -> Frame:
    """Return a fragment that begins `offset` bytes into the payload of its packet."""
    fields: dict[str, Any] = {"src": CLIENT, "dst": SERVER, "proto": 17} | ip
    flags = "MF" if more else 0
    return link() / IP(flags=flags, frag=offset // 8, id=identification, **fields) / Raw(payload)


def fragment6(
    offset: int, payload: bytes, *, more: bool = True, identification: int = 77, nh: int = 17
) -> Frame:
    header = IPv6ExtHdrFragment(offset=offset // 8, m=int(more), id=identification, nh=nh)
    return link() / IPv6(src=CLIENT6, dst=SERVER6) / header / Raw(payload)


FAMILIES = {4: fragment4, 6: fragment6}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(autouse=True)
def policy(lab: Laboratory) -> None:
    lab.enforce(allow(ANY, ANY, "udp/53"), allow(ANY6, ANY6, "udp/53"))


def first(family: int, **fields: Any) -> Frame:
    return FAMILIES[family](0, datagram()[:BYTES], **fields)


def middle(family: int, **fields: Any) -> Frame:
    return FAMILIES[family](BYTES, datagram()[BYTES : 2 * BYTES], **fields)


def last(family: int, **fields: Any) -> Frame:
    return FAMILIES[family](2 * BYTES, datagram()[2 * BYTES :], more=False, **fields)


def test_later_fragments_follow_the_first_one_and_count_in_its_session(lab: Laboratory, family: int) -> None:
    frames = [first(family), middle(family), last(family)]
    outcomes = [lab.outcome(frame) for frame in frames]
    assert outcomes == [Outcome.PASS_NEW, Outcome.PASS_FRAGMENT, Outcome.PASS_FRAGMENT]
    session = lab.session()
    assert (session.packets, session.octets) == ((3, 0), (sum(len(frame) for frame in frames), 0))


def test_fragments_of_an_established_session_are_remembered_too(lab: Laboratory, family: int) -> None:
    network = IP(src=CLIENT, dst=SERVER) if family == 4 else IPv6(src=CLIENT6, dst=SERVER6)
    reply = IP(src=SERVER, dst=CLIENT) if family == 4 else IPv6(src=SERVER6, dst=CLIENT6)
    lab.send(link() / network / UDP(sport=4000, dport=53))
    lab.send(link() / reply / UDP(sport=53, dport=4000))
    lab.send(link() / network / UDP(sport=4000, dport=53))
    assert lab.session().state is State.STEADY
    assert lab.outcome(first(family)) is Outcome.PASS_SESSION
    assert lab.outcome(last(family)) is Outcome.PASS_FRAGMENT


def test_what_comes_before_the_first_fragment_is_dropped(lab: Laboratory, family: int) -> None:
    assert lab.outcome(last(family)) is Outcome.DROP_FRAGMENT
    assert lab.outcome(first(family)) is Outcome.PASS_NEW
    assert lab.outcome(last(family)) is Outcome.PASS_FRAGMENT, "order doesn't matter from then on"
    assert lab.outcome(middle(family)) is Outcome.PASS_FRAGMENT


def test_later_fragments_of_a_denied_packet_are_dropped(lab: Laboratory, family: int) -> None:
    denied = FAMILIES[family](0, datagram(dport=54)[:BYTES])
    assert lab.outcome(denied) is Outcome.DROP_DEFAULT
    assert lab.outcome(last(family)) is Outcome.DROP_FRAGMENT


def test_denied_packet_ends_what_an_allowed_one_of_the_same_number_began(
    lab: Laboratory, family: int
) -> None:
    lab.send(first(family))
    lab.send(FAMILIES[family](0, datagram(dport=54)[:BYTES]))
    assert lab.outcome(last(family)) is Outcome.DROP_FRAGMENT


def test_fragments_are_told_apart_by_number_and_direction(lab: Laboratory, family: int) -> None:
    lab.send(first(family))
    assert lab.outcome(last(family, identification=78)) is Outcome.DROP_FRAGMENT
    assert lab.outcome(last(family)) is Outcome.PASS_FRAGMENT


def test_fragments_are_told_apart_by_addresses_and_protocol(lab: Laboratory) -> None:
    lab.send(first(4))
    assert lab.outcome(last(4, src="10.1.1.9")) is Outcome.DROP_FRAGMENT
    assert lab.outcome(last(4, src=SERVER, dst=CLIENT)) is Outcome.DROP_FRAGMENT
    assert lab.outcome(last(4, proto=6)) is Outcome.DROP_FRAGMENT


def test_ipv6_fragments_may_name_any_next_header(lab: Laboratory) -> None:
    lab.send(first(6))
    assert lab.outcome(last(6, nh=44)) is Outcome.PASS_FRAGMENT
    assert lab.session().packets == (2, 0)


def test_new_policy_trusts_no_fragment_of_an_earlier_one(lab: Laboratory, family: int) -> None:
    lab.send(first(family))
    lab.enforce(allow(ANY, ANY, "udp/53"), allow(ANY6, ANY6, "udp/53"), deny(WEB, APP, "tcp/1"))
    assert lab.outcome(last(family)) is Outcome.DROP_FRAGMENT
    assert lab.outcome(first(family)) is Outcome.PASS_REJUDGED
    assert lab.outcome(last(family)) is Outcome.PASS_FRAGMENT


def test_fragments_of_a_revoked_session_are_dropped(lab: Laboratory, family: int) -> None:
    lab.send(first(family))
    lab.enforce()
    assert lab.outcome(first(family)) is Outcome.DROP_REVOKED
    assert lab.outcome(last(family)) is Outcome.DROP_FRAGMENT


def test_late_fragment_is_dropped(lab: Laboratory, family: int) -> None:
    lab.set(idle_s=lab.plane.read_settings().idle_s | {Idle.FRAGMENT: 0})
    lab.send(first(family))
    deadline = lab.flows.now() + 2
    while lab.flows.now() < deadline:
        pass
    assert lab.outcome(last(family)) is Outcome.DROP_FRAGMENT


@pytest.mark.parametrize("offset", [8, 16, BYTES - 8])
def test_fragment_that_begins_within_the_first_one_ends_the_packet(
    lab: Laboratory, family: int, offset: int
) -> None:
    lab.send(first(family))
    assert lab.outcome(FAMILIES[family](offset, bytes(BYTES))) is Outcome.DROP_FRAGMENT_BOUNDS
    assert lab.outcome(last(family)) is Outcome.DROP_FRAGMENT


def test_tcp_header_can_not_be_rewritten(lab: Laboratory) -> None:
    """RFC 1858 3, RFC 3128: flags and ports of a judged header must be those that arrive."""
    lab.enforce(allow(ANY, ANY, "tcp/80"))
    header = bytes(TCP(sport=40000, dport=80, flags="S") / b"1234")
    rewritten = bytes(TCP(sport=40000, dport=22, flags="S"))
    assert lab.outcome(fragment4(0, header, proto=6)) is Outcome.PASS_NEW
    assert lab.outcome(fragment4(8, rewritten[8:], more=False, proto=6)) is Outcome.DROP_FRAGMENT_BOUNDS
    assert lab.outcome(fragment4(0, header[:16], proto=6)) is Outcome.DROP_FIRST_FRAGMENT
    assert lab.outcome(fragment4(0, header[:8], proto=6)) is Outcome.DROP_FIRST_FRAGMENT


def test_tcp_options_belong_to_the_header(lab: Laboratory) -> None:
    lab.enforce(allow(ANY, ANY, "tcp/80"))
    header = bytes(TCP(sport=40000, dport=80, flags="S", options=[("MSS", 1460)]))
    assert lab.outcome(fragment4(0, header, proto=6)) is Outcome.PASS_NEW
    longer = bytearray(header)
    longer[12] = 0xF0
    assert lab.outcome(fragment4(0, bytes(longer), proto=6)) is Outcome.DROP_FIRST_FRAGMENT


def test_ipv6_header_chain_ends_in_the_first_fragment(lab: Laboratory) -> None:
    """RFC 7112: or the packet is dropped."""
    options = bytes(IPv6ExtHdrDestOpt(nh=17, options=[PadN(optdata=bytes(20))]))
    whole = fragment6(0, options + datagram()[:BYTES], nh=60)
    assert lab.outcome(whole) is Outcome.PASS_NEW
    within = fragment6(BYTES, bytes(BYTES), nh=60)
    assert lab.outcome(within) is Outcome.DROP_FRAGMENT_BOUNDS, "options count for where the first one ends"
    assert lab.outcome(fragment6(0, options[:16], nh=60)) is Outcome.DROP_FIRST_FRAGMENT
    assert lab.outcome(fragment6(0, options, nh=60)) is Outcome.DROP_FIRST_FRAGMENT


WRONG: dict[str, Frame] = {
    "cut within 8 bytes": fragment4(0, datagram()[:60]),
    "cut within 8 bytes, later": fragment4(BYTES, bytes(60)),
    "beyond 64 KiB": fragment4(65528, bytes(16), more=False),
    "empty": fragment4(BYTES, b"", more=False),
    "IPv6, cut within 8 bytes": fragment6(0, datagram()[:60]),
    "IPv6, beyond 64 KiB": fragment6(65528, bytes(16), more=False),
    "IPv6, empty": fragment6(BYTES, b"", more=False),
}


@pytest.mark.parametrize("name", WRONG)
def test_fragment_of_a_wrong_length_is_dropped(lab: Laboratory, name: str) -> None:
    lab.send(first(4))
    lab.send(first(6))
    assert lab.outcome(WRONG[name]) is Outcome.DROP_FRAGMENT_BOUNDS


def test_two_fragment_headers_are_one_too_many(lab: Laboratory) -> None:
    lab.send(first(6))
    outer = IPv6ExtHdrFragment(offset=0, m=1, id=99)
    inner = IPv6ExtHdrFragment(offset=2 * BYTES // 8, m=0, id=77, nh=17)
    nested = link() / IPv6(src=CLIENT6, dst=SERVER6) / outer / inner / Raw(bytes(BYTES))
    assert lab.outcome(nested) is Outcome.DROP_IPV6_EXTENSIONS


def test_udp_length_counts_all_fragments(lab: Laboratory, family: int) -> None:
    short = bytes(UDP(sport=4000, dport=53, len=BYTES) / Raw(bytes(BYTES - 8)))
    assert lab.outcome(FAMILIES[family](0, short)) is Outcome.DROP_UDP_LENGTH


def test_atomic_fragment_is_a_whole_packet(lab: Laboratory) -> None:
    whole = bytes(UDP(sport=4000, dport=53) / Raw(b"x"))
    atomic = fragment6(0, whole, more=False)
    assert lab.outcome(atomic) is Outcome.PASS_NEW
    assert lab.plane.map("fragment6").entries() == {}


def test_neighbour_discovery_is_never_fragmented(lab: Laboratory) -> None:
    """RFC 6980: so there is no exception for it."""
    solicitation = bytes(IPv6(src=CLIENT6, dst=SERVER6) / ICMPv6ND_NS(tgt=SERVER6))[40:]
    header = IPv6ExtHdrFragment(offset=0, m=1, id=5, nh=58)
    frame = link() / IPv6(src=CLIENT6, dst=SERVER6, hlim=255) / header / Raw(solicitation)
    assert lab.outcome(frame) is Outcome.DROP_DEFAULT


def test_large_ping_goes_through(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "icmp/8/0"))
    there = bytes(ICMP(type=8, id=7) / Raw(bytes(2 * BYTES - 8)))
    back = bytes(ICMP(type=0, id=7) / Raw(bytes(2 * BYTES - 8)))
    assert lab.outcome(fragment4(0, there[:BYTES], proto=1)) is Outcome.PASS_NEW
    assert lab.outcome(fragment4(BYTES, there[BYTES:], more=False, proto=1)) is Outcome.PASS_FRAGMENT
    turned: dict[str, Any] = {"src": SERVER, "dst": CLIENT, "proto": 1}
    assert lab.outcome(fragment4(0, back[:BYTES], **turned)) is Outcome.PASS_SESSION
    assert lab.outcome(fragment4(BYTES, back[BYTES:], more=False, **turned)) is Outcome.PASS_FRAGMENT
    assert lab.session().packets == (2, 2)


def test_flood_of_denied_fragments_remembers_nothing(lab: Laboratory) -> None:
    for number in range(50):
        lab.send(FAMILIES[4](0, datagram(dport=54)[:BYTES], identification=number))
    assert lab.plane.map("fragment4").entries() == {}


def test_whole_packets_are_not_remembered(lab: Laboratory) -> None:
    lab.enforce(allow(ANY, ANY))
    lab.send(udp(CLIENT, SERVER, 1, 2))
    lab.send(tcp(CLIENT, SERVER, 1, 2))
    assert lab.plane.map("fragment4").entries() == {}
