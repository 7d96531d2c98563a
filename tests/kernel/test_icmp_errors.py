"""ICMP errors: those about a session pass, forged ones don't, and none of them changes a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kernel.laboratory import Laboratory, allow, deny, link, tcp, tcp6, udp
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    PadN,
)
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Packet as Frame
from scapy.packet import Raw

from microseg.abi_outcome import Outcome
from microseg.abi_settings import Option

WEB, APP = "10.1.1.0/24", "10.1.2.0/24"
CLIENT, SERVER, ROUTER, ELSEWHERE = "10.1.1.1", "10.1.2.1", "10.9.9.9", "10.7.7.7"
WEB6, APP6 = "2001:db8:1::/64", "2001:db8:2::/64"
CLIENT6, SERVER6, ROUTER6 = "2001:db8:1::1", "2001:db8:2::1", "2001:db8:9::9"
SENT = TCP(sport=40000, dport=80, flags="A")


def error(quoted: Frame, to: str, what: Frame | None = None, quoted_bytes: int = 28) -> Frame:
    """Return an error about an IPv4 packet, of which it quotes so many bytes."""
    return (
        link() / IP(src=ROUTER, dst=to) / (what or ICMP(type=3, code=4)) / Raw(bytes(quoted)[:quoted_bytes])
    )


def error6(quoted: Frame, to: str, what: Frame | None = None, quoted_bytes: int = 1200) -> Frame:
    return (
        link()
        / IPv6(src=ROUTER6, dst=to)
        / (what or ICMPv6PacketTooBig(mtu=1280))
        / Raw(bytes(quoted)[:quoted_bytes])
    )


ERRORS = {
    "fragmentation needed": ICMP(type=3, code=4),
    "port unreachable": ICMP(type=3, code=3),
    "time exceeded": ICMP(type=11, code=0),
    "parameter problem": ICMP(type=12, code=0),
}
ERRORS6 = {
    "unreachable": ICMPv6DestUnreach(code=4),
    "too big": ICMPv6PacketTooBig(mtu=1280),
    "time exceeded": ICMPv6TimeExceeded(),
    "parameter problem": ICMPv6ParamProblem(),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_about_a_session_passes_and_leaves_it_alone(lab: Laboratory, name: str) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    lab.open_tcp()
    before = lab.session()
    assert (
        lab.outcome(error(IP(src=CLIENT, dst=SERVER) / SENT, CLIENT, ERRORS[name])) is Outcome.PASS_ICMP_ERROR
    )
    assert lab.session() == before
    assert lab.events() == []


@pytest.mark.parametrize("name", ERRORS6)
def test_error_about_an_ipv6_session_passes(lab: Laboratory, name: str) -> None:
    lab.enforce(allow(WEB6, APP6, "tcp/80"))
    lab.send(tcp6(CLIENT6, SERVER6, 40000, 80))
    before = lab.session()
    quoted = IPv6(src=CLIENT6, dst=SERVER6) / SENT
    assert lab.outcome(error6(quoted, CLIENT6, ERRORS6[name])) is Outcome.PASS_ICMP_ERROR
    assert lab.session() == before


def test_error_to_the_server_passes_once_it_has_spoken(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    lab.send(tcp(CLIENT, SERVER, 40000, 80))
    about_server = error(IP(src=SERVER, dst=CLIENT) / TCP(sport=80, dport=40000), SERVER)
    assert lab.outcome(about_server) is Outcome.DROP_ICMP_ERROR
    lab.send(tcp(SERVER, CLIENT, 80, 40000, "SA"))
    assert lab.outcome(about_server) is Outcome.PASS_ICMP_ERROR


QUOTED: dict[str, tuple[Frame, Frame]] = {
    "UDP": (UDP(sport=4000, dport=53), UDP(sport=4000, dport=53)),
    "SCTP": (SCTP(sport=4000, dport=53) / SCTPChunkInit(), SCTP(sport=4000, dport=53)),
    "echo": (ICMP(type=8, id=7), ICMP(type=8, id=7, seq=99)),
    "GRE": (Raw(b"generic routing"), Raw(b"generic routing")),
}


@pytest.mark.parametrize("name", QUOTED)
def test_every_kind_of_session_is_recognised(lab: Laboratory, name: str) -> None:
    lab.enforce(allow(WEB, APP))
    sent, quoted = QUOTED[name]
    protocol: dict[str, Any] = {"proto": 47} if name == "GRE" else {}
    assert lab.outcome(link() / IP(src=CLIENT, dst=SERVER, **protocol) / sent) is Outcome.PASS_NEW
    assert (
        lab.outcome(error(IP(src=CLIENT, dst=SERVER, **protocol) / quoted, CLIENT)) is Outcome.PASS_ICMP_ERROR
    )


def test_ping6_is_recognised(lab: Laboratory) -> None:
    lab.enforce(allow(WEB6, APP6))
    ping = IPv6(src=CLIENT6, dst=SERVER6) / ICMPv6EchoRequest(id=7)
    lab.send(link() / ping)
    assert lab.outcome(error6(ping, CLIENT6)) is Outcome.PASS_ICMP_ERROR


def test_quoted_extension_headers_are_walked(lab: Laboratory) -> None:
    lab.enforce(allow(WEB6, APP6, "tcp/80"))
    lab.send(tcp6(CLIENT6, SERVER6, 40000, 80))
    options = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(20))])
    sent = IPv6(src=CLIENT6, dst=SERVER6) / options / IPv6ExtHdrFragment(m=1) / SENT / bytes(1204)
    assert lab.outcome(error6(sent, CLIENT6, quoted_bytes=999)) is Outcome.PASS_ICMP_ERROR
    assert lab.outcome(error6(sent, CLIENT6, quoted_bytes=40 + 24 + 8 + 8)) is Outcome.PASS_ICMP_ERROR
    assert lab.outcome(error6(sent, CLIENT6, quoted_bytes=40 + 24 + 8 + 7)) is Outcome.DROP_ICMP_ERROR


def test_quoted_ip_options_are_skipped(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    lab.send(tcp(CLIENT, SERVER, 40000, 80))
    sent = IP(src=CLIENT, dst=SERVER, options=[IPOption_NOP()] * 8) / SENT
    assert lab.outcome(error(sent, CLIENT, quoted_bytes=36)) is Outcome.PASS_ICMP_ERROR


FORGED: dict[str, Callable[[], Frame]] = {
    "another port": lambda: error(IP(src=CLIENT, dst=SERVER) / TCP(sport=40001, dport=80), CLIENT),
    "another peer": lambda: error(IP(src=CLIENT, dst=ELSEWHERE) / SENT, CLIENT),
    "another protocol": lambda: error(IP(src=CLIENT, dst=SERVER) / UDP(sport=40000, dport=80), CLIENT),
    "to somebody who didn't send it": lambda: error(IP(src=CLIENT, dst=SERVER) / SENT, ELSEWHERE),
    "to the one it was sent to": lambda: error(IP(src=CLIENT, dst=SERVER) / SENT, SERVER),
    "a later fragment": lambda: error(IP(src=CLIENT, dst=SERVER, frag=10) / SENT, CLIENT),
    "a quote that is cut": lambda: error(IP(src=CLIENT, dst=SERVER) / SENT, CLIENT, quoted_bytes=27),
    "no quote": lambda: error(IP(src=CLIENT, dst=SERVER) / SENT, CLIENT, quoted_bytes=0),
    "IPv6 in IPv4": lambda: error(IPv6(src=CLIENT6, dst=SERVER6) / SENT, CLIENT, quoted_bytes=60),
    "a quote with a short header": lambda: error(IP(src=CLIENT, dst=SERVER, ihl=4) / SENT, CLIENT),
    "about an error": lambda: error(IP(src=CLIENT, dst=SERVER) / ICMP(type=3), CLIENT),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_error_is_dropped_and_counted(lab: Laboratory, name: str) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    lab.open_tcp()
    before = lab.session()
    assert lab.outcome(FORGED[name]()) is Outcome.DROP_ICMP_ERROR
    assert lab.session() == before
    (event,) = lab.events()
    assert (event.outcome, event.protocol, event.verdict) == (Outcome.DROP_ICMP_ERROR, 1, None)


def test_forged_error_about_ipv6_is_dropped(lab: Laboratory) -> None:
    lab.enforce(allow(WEB6, APP6, "tcp/80"))
    lab.send(tcp6(CLIENT6, SERVER6, 40000, 80))
    for quoted, to in (
        (IPv6(src=CLIENT6, dst=SERVER6) / TCP(sport=40001, dport=80), CLIENT6),
        (IPv6(src=CLIENT6, dst=SERVER6) / SENT, SERVER6),
        (IPv6(src=CLIENT6, dst=SERVER6) / IPv6ExtHdrFragment(offset=9, m=0) / SENT, CLIENT6),
    ):
        assert lab.outcome(error6(quoted, to)) is Outcome.DROP_ICMP_ERROR


def test_error_alone_opens_nothing_even_where_all_is_allowed(lab: Laboratory) -> None:
    lab.enforce(default="allow")
    assert lab.outcome(error(IP(src=CLIENT, dst=SERVER) / SENT, CLIENT)) is Outcome.DROP_ICMP_ERROR
    assert lab.sessions() == []


def test_policy_judges_unrelated_errors_when_set_so(lab: Laboratory) -> None:
    lab.enforce(allow(ROUTER, WEB, "icmp/3/4"))
    lab.set(options=Option.JUDGE_ICMP_ERRORS)
    unrelated = IP(src=CLIENT, dst=SERVER) / SENT
    assert lab.outcome(error(unrelated, CLIENT)) is Outcome.PASS_STATELESS
    assert lab.outcome(error(unrelated, CLIENT, ICMP(type=3, code=3))) is Outcome.DROP_DEFAULT
    assert lab.sessions() == []


def test_error_about_a_session_of_an_earlier_policy_is_judged_as_the_session(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    lab.open_tcp()
    about_it = error(IP(src=CLIENT, dst=SERVER) / SENT, CLIENT)
    about_answers = error(IP(src=SERVER, dst=CLIENT) / TCP(sport=80, dport=40000), SERVER)
    first = lab.session().generation
    lab.enforce(allow(WEB, APP, "tcp/80"), deny(APP, WEB))
    assert lab.outcome(about_it) is Outcome.PASS_ICMP_ERROR
    assert lab.outcome(about_answers) is Outcome.PASS_ICMP_ERROR
    assert lab.session().generation == first, "an error doesn't renew a session"
    rule = deny(WEB, APP)
    lab.enforce(rule)
    assert lab.outcome(about_it) is Outcome.DROP_REVOKED
    (event,) = lab.events()
    assert event.rule == lab.id_of(rule)
    assert event.source is not None
    assert event.destination is not None
    assert (str(event.source[0]), str(event.destination[0])) == (ROUTER, CLIENT)
    assert event.destination[1] == 3 << 8 | 4


def test_error_about_an_echo_of_an_earlier_policy_asks_about_the_request(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "icmp/8/0"))
    ping = IP(src=CLIENT, dst=SERVER) / ICMP(type=8, id=7)
    lab.send(link() / ping)
    lab.enforce(allow(WEB, APP, "icmp/8/0"), deny(APP, WEB))
    assert lab.outcome(error(ping, CLIENT)) is Outcome.PASS_ICMP_ERROR


def test_error_about_a_session_that_timed_out_is_dropped(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP))
    lab.set(idle_s=dict.fromkeys(lab.plane.read_settings().idle_s, 0))
    lab.send(udp(CLIENT, SERVER, 4000, 53))
    deadline = lab.flows.now() + 2
    while lab.flows.now() < deadline:
        pass
    quoted = IP(src=CLIENT, dst=SERVER) / UDP(sport=4000, dport=53)
    assert lab.outcome(error(quoted, CLIENT)) is Outcome.DROP_ICMP_ERROR


def test_redirect_is_advice_and_judged_by_the_policy(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    lab.open_tcp()
    quoted = IP(src=CLIENT, dst=SERVER) / SENT
    assert lab.outcome(error(quoted, CLIENT, ICMP(type=5, code=1, gw=ELSEWHERE))) is Outcome.DROP_DEFAULT
