"""Sessions: directions, states, timeouts, and what a change of policy does to them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kernel.laboratory import ANY, Laboratory, allow, deny, tcp, udp
from kernel.opening_sets import opening
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Frame

from microseg.abi_flow import Direction
from microseg.abi_outcome import Outcome
from microseg.abi_session import (
    SESSION_KEY4_SIZE,
    SESSION_KEY6_SIZE,
    SESSION_SIZE,
    Session,
    SessionFlag,
    State,
)
from microseg.policy.rules import Verdict

WEB = "10.1.1.0/24"
APP = "10.1.2.0/24"
CLIENT, SERVER = "10.1.1.1", "10.1.2.1"


def forward(flags: str, payload: bytes = b"") -> Frame:
    return tcp(CLIENT, SERVER, 40000, 80, flags, payload)


def back(flags: str, payload: bytes = b"") -> Frame:
    return tcp(SERVER, CLIENT, 80, 40000, flags, payload)


def in_map(lab: Laboratory, name: str) -> list[Session]:
    return [Session.from_bytes(key, value) for key, value in lab.plane.map(name).entries().items()]


def test_sizes_are_two_cache_lines_with_the_hash_element() -> None:
    assert (SESSION_KEY4_SIZE, SESSION_KEY6_SIZE, SESSION_SIZE) == (16, 40, 64)


def test_replies_follow_whatever_the_policy_says_of_them(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    assert lab.outcome(forward("S")) is Outcome.PASS_NEW
    assert lab.outcome(back("SA"), Direction.EGRESS) is Outcome.PASS_SESSION
    assert lab.outcome(forward("A")) is Outcome.PASS_SESSION


@pytest.mark.parametrize(("src", "dst"), [("10.1.1.1", "10.1.2.1"), ("10.1.2.1", "10.1.1.1")])
def test_the_opener_is_the_client_whichever_address_is_greater(lab: Laboratory, src: str, dst: str) -> None:
    lab.enforce(allow(ANY, ANY))
    lab.send(udp(src, dst, 4000, 53, b"question"))
    lab.send(udp(dst, src, 53, 4000, b"a longer answer than the question was, by far"))
    session = lab.session()
    assert (str(session.client[0]), session.client[1]) == (src, 4000)
    assert (str(session.server[0]), session.server[1]) == (dst, 53)
    assert session.packets == (1, 1)
    assert session.octets == (60, 14 + 20 + 8 + 45)


def test_handshake_moves_the_session_to_the_main_map(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP))
    lab.send(forward("S"))
    assert [s.state for s in opening(lab.plane)] == [State.OPENING]
    lab.send(back("SA"))
    assert [s.state for s in opening(lab.plane)] == [State.ANSWERED]
    assert in_map(lab, "session4") == []
    lab.send(forward("A"))
    assert opening(lab.plane) == []
    (session,) = in_map(lab, "session4")
    assert (session.state, session.packets) == (State.STEADY, (2, 1))
    lab.send(back("PA", b"data"))
    assert in_map(lab, "session4")[0].packets == (2, 2)


def test_closing_by_both_sides(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP))
    lab.open_tcp()
    assert lab.outcome(forward("FA")) is Outcome.PASS_SESSION
    assert lab.session().state is State.CLOSING
    assert lab.outcome(back("A")) is Outcome.PASS_SESSION
    assert lab.outcome(back("FA")) is Outcome.PASS_SESSION
    assert lab.session().state is State.CLOSED
    assert lab.outcome(forward("A")) is Outcome.PASS_SESSION


def test_reset_closes(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP))
    lab.open_tcp()
    steady = lab.session().idle_limit
    assert lab.outcome(back("RA")) is Outcome.PASS_SESSION
    assert lab.session().state is State.CLOSED
    assert lab.session().idle_limit < steady


def test_closed_tuple_is_judged_anew_on_syn(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP))
    lab.open_tcp()
    lab.send(forward("FA"))
    lab.send(back("FA"))
    assert lab.outcome(forward("S")) is Outcome.PASS_NEW
    assert (lab.session().state, lab.session().packets) == (State.OPENING, (1, 0))


def test_tcp_without_a_session_is_dropped(lab: Laboratory) -> None:
    lab.enforce(allow(ANY, ANY))
    for flags in ("A", "SA", "FA", "R", "PA"):
        assert lab.outcome(forward(flags)) is Outcome.DROP_NO_SESSION
    assert lab.sessions() == []


def test_connection_in_progress_is_adopted_in_either_direction(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    until = lab.plane.boot_time_s() + 1000
    lab.plane.write_settings(replace(lab.plane.read_settings(), adopt_until_s=until))
    assert lab.outcome(back("A", b"from the server first")) is Outcome.PASS_ADOPTED
    session = lab.session()
    assert str(session.client[0]) == CLIENT
    assert session.flags & SessionFlag.ADOPTED
    assert lab.outcome(forward("A")) is Outcome.PASS_SESSION
    assert lab.session().state is State.STEADY
    assert lab.outcome(tcp(CLIENT, SERVER, 40000, 22, "A")) is Outcome.DROP_DEFAULT


def test_adoption_ends(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    lab.plane.write_settings(replace(lab.plane.read_settings(), adopt_until_s=lab.plane.boot_time_s()))
    assert lab.outcome(forward("A")) is Outcome.DROP_NO_SESSION


def test_untouched_session_survives_a_change_of_policy(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    lab.open_tcp()
    rule = allow(WEB, APP, "tcp/80", log=True)
    generation = lab.enforce(rule, allow(WEB, APP, "tcp/443"))
    assert lab.outcome(forward("A", b"more")) is Outcome.PASS_REJUDGED
    assert lab.outcome(forward("A", b"more")) is Outcome.PASS_SESSION
    session = lab.session()
    assert (session.generation, session.rule, session.packets) == (generation, lab.id_of(rule), (4, 1))


def test_reply_after_a_change_is_judged_in_the_opener_s_direction(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    lab.open_tcp()
    lab.enforce(allow(WEB, APP, "tcp/80"), deny(APP, WEB))
    assert lab.outcome(back("A", b"reply")) is Outcome.PASS_REJUDGED


@pytest.mark.parametrize("first", ["forward", "back"])
def test_revoked_session_stops_at_its_next_packet(lab: Laboratory, first: str) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    lab.open_tcp()
    rule = deny(WEB, APP, "tcp/80")
    lab.enforce(rule)
    assert lab.outcome({"forward": forward, "back": back}[first]("A", b"more")) is Outcome.DROP_REVOKED
    assert lab.sessions() == []
    (event,) = lab.events()
    assert (event.outcome, event.rule, event.verdict) == (Outcome.DROP_REVOKED, lab.id_of(rule), Verdict.DENY)
    assert lab.outcome(forward("A", b"more")) is Outcome.DROP_NO_SESSION


def test_half_open_session_is_revoked_too(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    lab.send(forward("S"))
    lab.enforce()
    assert lab.outcome(back("SA")) is Outcome.DROP_REVOKED


def test_rollback_judges_again(lab: Laboratory) -> None:
    first = lab.enforce(allow(WEB, APP))
    lab.enforce(allow(WEB, APP), allow(APP, WEB))
    lab.send(udp(SERVER, CLIENT, 1000, 2000))
    lab.plane.write_root(replace(lab.plane.read_root(), generation=first))
    assert lab.outcome(udp(SERVER, CLIENT, 1000, 2000)) is Outcome.DROP_REVOKED


def test_idle_session_is_gone(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP))
    settings = lab.plane.read_settings()
    lab.plane.write_settings(replace(settings, idle_s=dict.fromkeys(settings.idle_s, 0)))
    lab.send(forward("S"))
    deadline = lab.flows.now() + 2
    while lab.flows.now() < deadline:
        pass
    assert lab.outcome(back("SA")) is Outcome.DROP_NO_SESSION
    assert lab.outcome(forward("S")) is Outcome.PASS_NEW


def test_ping_opens_and_the_reply_follows(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "icmp/8/0"))
    request = Ether() / IP(src=CLIENT, dst=SERVER) / ICMP(type=8, id=77)
    reply = Ether() / IP(src=SERVER, dst=CLIENT) / ICMP(type=0, id=77)
    stray = Ether() / IP(src=SERVER, dst=CLIENT) / ICMP(type=0, id=78)
    assert lab.outcome(reply) is Outcome.DROP_DEFAULT
    assert lab.outcome(request) is Outcome.PASS_NEW
    assert lab.outcome(reply) is Outcome.PASS_SESSION
    assert lab.outcome(stray) is Outcome.DROP_DEFAULT
    assert lab.session().client[1] == 77


def test_ping_is_judged_again_as_a_request(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "icmp/8/0"))
    lab.send(Ether() / IP(src=CLIENT, dst=SERVER) / ICMP(type=8, id=77))
    lab.enforce(allow(WEB, APP, "icmp/8/0"), allow(WEB, APP, "tcp/1"))
    reply = Ether() / IP(src=SERVER, dst=CLIENT) / ICMP(type=0, id=77)
    assert lab.outcome(reply) is Outcome.PASS_REJUDGED


def test_ping6(lab: Laboratory) -> None:
    lab.enforce(allow("2001:db8:1::/64", "2001:db8:2::/64", "icmpv6/128/0"))
    there = IPv6(src="2001:db8:1::1", dst="2001:db8:2::1")
    back_again = IPv6(src="2001:db8:2::1", dst="2001:db8:1::1")
    assert lab.outcome(Ether() / there / ICMPv6EchoRequest(id=5)) is Outcome.PASS_NEW
    assert lab.outcome(Ether() / back_again / ICMPv6EchoReply(id=5)) is Outcome.PASS_SESSION
    assert lab.outcome(Ether() / back_again / ICMPv6EchoRequest(id=5)) is Outcome.DROP_DEFAULT


def test_other_icmp_is_judged_by_itself(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "icmp/13/0"))
    timestamp = Ether() / IP(src=CLIENT, dst=SERVER) / ICMP(type=13)
    assert lab.outcome(timestamp) is Outcome.PASS_STATELESS
    assert lab.sessions() == []
    redirect = Ether() / IP(src=CLIENT, dst=SERVER) / ICMP(type=5, code=1)
    assert lab.outcome(redirect) is Outcome.DROP_DEFAULT


def test_protocol_without_ports_has_a_session_of_its_own(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "proto/47"))
    assert lab.outcome(Ether() / IP(src=CLIENT, dst=SERVER, proto=47) / b"gre gre gre") is Outcome.PASS_NEW
    assert (
        lab.outcome(Ether() / IP(src=SERVER, dst=CLIENT, proto=47) / b"gre gre gre") is Outcome.PASS_SESSION
    )
    assert lab.outcome(Ether() / IP(src=SERVER, dst=CLIENT, proto=50) / b"esp") is Outcome.DROP_DEFAULT


def test_session_with_oneself_knows_its_direction_by_the_ports(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, WEB, "tcp/80"))
    assert lab.outcome(tcp(CLIENT, CLIENT, 40000, 80, "S")) is Outcome.PASS_NEW
    assert lab.outcome(tcp(CLIENT, CLIENT, 80, 40000, "SA")) is Outcome.PASS_SESSION
    assert lab.session().packets == (1, 1)


def test_a_scan_of_denied_packets_leaves_no_sessions(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    for port in range(100, 150):
        assert not lab.send(tcp(CLIENT, SERVER, 40000, port)).passed
    assert lab.sessions() == []
    assert lab.stats().sessions_full == 0
