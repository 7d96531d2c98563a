"""What a rejected packet gets back: a reset or an unreachable, right to the checksum; and when nothing."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import pytest
from kernel.laboratory import ANY, Laboratory, Sent, allow, link, reject, tcp, tcp6, udp
from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, IPerror, IPOption_NOP, TCPerror, UDPerror
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPerror6,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    PadN,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Packet as Frame
from scapy.packet import Raw

from microseg.abi_flow import Direction
from microseg.abi_outcome import Outcome
from microseg.abi_settings import ANSWER_MARK
from microseg.kernel.packet_run import FrameContext

CLIENT, SERVER = "10.1.1.1", "10.1.2.1"
CLIENT6, SERVER6 = "2001:db8:1::1", "2001:db8:2::1"
ANY6 = "::/0"
THEIRS = "02:00:00:00:00:01"
V4, V6 = IP(src=CLIENT, dst=SERVER), IPv6(src=CLIENT6, dst=SERVER6)


@dataclass(frozen=True)
class Answered:
    """Counters of answers, as differences."""

    sent: int
    limited: int
    omitted: int


@pytest.fixture(autouse=True)
def policy(lab: Laboratory) -> None:
    lab.enforce(default="reject")


def counted(lab: Laboratory, frame: Frame, direction: Direction = Direction.INGRESS) -> tuple[Sent, Answered]:
    before = lab.stats()
    sent = lab.send(frame, direction)
    after = lab.stats()
    moved = Answered(
        after.answers_sent - before.answers_sent,
        after.answers_limited - before.answers_limited,
        after.answers_omitted - before.answers_omitted,
    )
    return sent, moved


def answer(lab: Laboratory, frame: Frame, direction: Direction = Direction.INGRESS) -> Frame:
    """Return the answer to a frame, which must have one whose checksums are right."""
    sent, moved = counted(lab, frame, direction)
    assert sent.outcome is Outcome.DROP_REJECTED
    assert moved == Answered(1, 0, 0)
    assert sent.answer is not None
    parsed = Ether(sent.answer)
    assert bytes(with_right_checksums(parsed)) == sent.answer
    assert (parsed.src, parsed.dst) == (frame.dst, frame.src)
    return parsed


def with_right_checksums(frame: Frame) -> Frame:
    """Return the same frame with scapy's own checksums and lengths, but for what is quoted in it."""
    fresh = frame.copy()
    computed = (
        *((IP, "chksum"), (IP, "len"), (IPv6, "plen"), (TCP, "chksum")),
        *((ICMP, "chksum"), (ICMPv6DestUnreach, "cksum")),
    )
    for layer, field in computed:
        if layer in fresh:
            delattr(fresh[layer], field)
    return Ether(bytes(fresh))


def test_tcp_opening_gets_a_reset(lab: Laboratory) -> None:
    back = answer(lab, link() / IP(src=CLIENT, dst=SERVER) / TCP(sport=40000, dport=80, seq=1000))
    assert (back[IP].src, back[IP].dst, back[IP].ttl) == (SERVER, CLIENT, 64)
    assert (back[TCP].sport, back[TCP].dport, back[TCP].flags) == (80, 40000, "RA")
    assert (back[TCP].seq, back[TCP].ack) == (0, 1001)
    assert len(back) == 14 + 20 + 20


@pytest.mark.only_tc
def test_what_goes_out_is_answered_alike(lab: Laboratory) -> None:
    opening = link() / IP(src=CLIENT, dst=SERVER) / TCP(sport=40000, dport=80, seq=1000)
    assert answer(lab, opening, Direction.EGRESS) == answer(lab, opening, Direction.INGRESS)


def test_reset_acknowledges_all_that_came(lab: Laboratory) -> None:
    opening = (
        link() / IP(src=CLIENT, dst=SERVER) / TCP(sport=1, dport=80, seq=2**32 - 1, flags="S") / b"fast open"
    )
    assert answer(lab, opening)[TCP].ack == len("fast open")


def test_options_don_t_come_back(lab: Laboratory) -> None:
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
    opening = TCP(sport=1, dport=80, seq=7, options=options)
    back = answer(lab, link() / IP(src=CLIENT, dst=SERVER, options=[IPOption_NOP()] * 4) / opening)
    assert (back[IP].ihl, back[TCP].dataofs, back[TCP].ack) == (5, 5, 8)


def test_revoked_connection_gets_a_reset_that_fits(lab: Laboratory) -> None:
    lab.enforce(allow(ANY, ANY))
    lab.open_tcp()
    lab.enforce(reject(ANY, ANY))
    data = (
        link() / IP(src=CLIENT, dst=SERVER) / TCP(sport=40000, dport=80, flags="PA", seq=5, ack=77) / b"more"
    )
    sent = lab.send(data)
    assert sent.outcome is Outcome.DROP_REVOKED
    assert sent.answer is not None
    reset = Ether(sent.answer)[TCP]
    assert (reset.flags, reset.seq, reset.ack) == ("R", 77, 0)


def test_tcp_over_ipv6_gets_a_reset(lab: Laboratory) -> None:
    back = answer(lab, link() / IPv6(src=CLIENT6, dst=SERVER6) / TCP(sport=40000, dport=80, seq=1000))
    assert (back[IPv6].src, back[IPv6].dst, back[IPv6].hlim) == (SERVER6, CLIENT6, 64)
    assert (back[TCP].sport, back[TCP].dport, back[TCP].flags, back[TCP].ack) == (80, 40000, "RA", 1001)


def test_reset_behind_extension_headers(lab: Laboratory) -> None:
    options = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(20))])
    back = answer(lab, link() / IPv6(src=CLIENT6, dst=SERVER6) / options / TCP(sport=1, dport=80, seq=1000))
    assert (back[IPv6].nh, back[TCP].ack) == (6, 1001)


def test_udp_gets_port_unreachable(lab: Laboratory) -> None:
    back = answer(lab, udp(CLIENT, SERVER, 4000, 53, b"?" * 40))
    assert (back[IP].src, back[IP].dst, back[IP].tos) == (SERVER, CLIENT, 0xC0)
    assert (back[ICMP].type, back[ICMP].code) == (3, 3)
    assert (back[IPerror].src, back[IPerror].dst) == (CLIENT, SERVER)
    assert (back[UDPerror].sport, back[UDPerror].dport) == (4000, 53)


def test_udp_over_ipv6_gets_port_unreachable(lab: Laboratory) -> None:
    back = answer(lab, link() / IPv6(src=CLIENT6, dst=SERVER6) / UDP(sport=4000, dport=53))
    assert back[ICMPv6DestUnreach].code == 4
    assert (back[IPerror6].src, back[IPerror6].dst) == (CLIENT6, SERVER6)
    assert (back[UDPerror].sport, back[UDPerror].dport) == (4000, 53)


def test_small_packet_grows_to_its_answer(lab: Laboratory) -> None:
    assert len(answer(lab, udp(CLIENT, SERVER, 4000, 53, b""))) == 14 + 20 + 8 + 28


OTHERS: dict[str, Frame] = {
    "ping": ICMP(type=8, id=7),
    "SCTP": SCTP(sport=1, dport=2) / SCTPChunkInit(),
    "GRE": Raw(b"generic routing"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_others_get_administratively_prohibited(lab: Laboratory, name: str) -> None:
    fields: dict[str, Any] = {"proto": 47} if name == "GRE" else {}
    back = answer(lab, link() / IP(src=CLIENT, dst=SERVER, **fields) / OTHERS[name])
    assert (back[ICMP].type, back[ICMP].code) == (3, 13)


def test_ping6_gets_administratively_prohibited(lab: Laboratory) -> None:
    back = answer(lab, link() / IPv6(src=CLIENT6, dst=SERVER6) / ICMPv6EchoRequest(id=7))
    assert back[ICMPv6DestUnreach].code == 1


def test_tags_stay(lab: Laboratory) -> None:
    back = answer(lab, link() / Dot1Q(vlan=5) / IP(src=CLIENT, dst=SERVER) / TCP(sport=1, dport=80))
    assert (back[Dot1Q].vlan, back[TCP].flags) == (5, "RA")


def to(mac: str) -> Frame:
    return Ether(src=THEIRS, dst=mac)


UDP53 = UDP(sport=4000, dport=53) / bytes(8)
TCP80 = TCP(sport=40000, dport=80) / b"1234"
UNANSWERED: dict[str, Frame] = {
    "broadcast": link() / IP(src=CLIENT, dst="255.255.255.255") / UDP53,
    "multicast": link() / IP(src=CLIENT, dst="224.0.0.5") / UDP53,
    "IPv6 multicast": link() / IPv6(src=CLIENT6, dst="ff02::1") / UDP53,
    "broadcast of the link": to("ff:ff:ff:ff:ff:ff") / V4 / TCP80,
    "multicast of the link": to("01:00:5e:00:00:05") / V4 / TCP80,
    "from nowhere": link() / IP(src="0.0.0.0", dst=SERVER) / UDP53,
    "from the reserved block": link() / IP(src="240.0.0.1", dst=SERVER) / UDP53,
    "from nowhere, IPv6": link() / IPv6(src="::", dst=SERVER6) / UDP53,
    "first fragment": link() / IP(src=CLIENT, dst=SERVER, flags="MF") / TCP80,
    "first fragment, IPv6": link() / V6 / IPv6ExtHdrFragment(m=1) / TCP80,
    "echo reply": link() / V4 / ICMP(type=0, id=7),
    "echo reply, IPv6": link() / V6 / ICMPv6EchoReply(id=7),
    "ICMP redirect": link() / V4 / ICMP(type=5),
    "UDP with IP options": link() / IP(src=CLIENT, dst=SERVER, options=[IPOption_NOP()] * 4) / UDP53,
    "UDP behind extension headers": link() / V6 / IPv6ExtHdrDestOpt(options=[PadN()]) / UDP53,
    "a protocol of 7 bytes": link() / IP(src=CLIENT, dst=SERVER, proto=47) / Raw(b"1234567"),
}


@pytest.mark.parametrize("name", UNANSWERED)
def test_no_answer(lab: Laboratory, name: str) -> None:
    sent, moved = counted(lab, UNANSWERED[name])
    assert (sent.outcome, sent.answer) == (Outcome.DROP_REJECTED, None)
    assert moved == Answered(0, 0, 1)


@pytest.mark.only_tc
def test_no_answer_to_what_is_addressed_to_another_host(lab: Laboratory) -> None:
    sent, moved = counted(lab, to("02:00:00:00:00:99") / V4 / TCP80)
    assert (sent.answer, moved) == (None, Answered(0, 0, 1))


def test_no_reset_in_answer_to_a_reset(lab: Laboratory) -> None:
    lab.enforce(allow(ANY, ANY))
    lab.open_tcp()
    lab.enforce(default="reject")
    sent, moved = counted(lab, tcp(CLIENT, SERVER, 40000, 80, "R"))
    assert (sent.outcome, sent.answer, moved) == (Outcome.DROP_REVOKED, None, Answered(0, 0, 1))


@pytest.mark.parametrize("family", [4, 6])
def test_no_answer_to_an_icmp_error(lab: Laboratory, family: int) -> None:
    lab.enforce(allow(ANY, ANY), allow(ANY6, ANY6))
    lab.send(tcp(CLIENT, SERVER, 40000, 80) if family == 4 else tcp6(CLIENT6, SERVER6, 40000, 80))
    lab.enforce(default="reject")
    error: Frame = IP(src="10.9.9.9", dst=CLIENT) / ICMP(type=3, code=4) / V4 / TCP(sport=40000, dport=80)
    if family == 6:
        error = IPv6(src="2001:db8::9", dst=CLIENT6) / ICMPv6PacketTooBig() / V6 / TCP(sport=40000, dport=80)
    sent, moved = counted(lab, link() / error)
    assert (sent.outcome, sent.answer, moved) == (Outcome.DROP_REVOKED, None, Answered(0, 0, 1))


def test_denied_packet_gets_nothing(lab: Laboratory) -> None:
    lab.enforce()
    sent, moved = counted(lab, tcp(CLIENT, SERVER, 40000, 80))
    assert (sent.outcome, sent.answer, moved) == (Outcome.DROP_DEFAULT, None, Answered(0, 0, 0))


def test_each_cpu_answers_so_many_a_second(lab: Laboratory) -> None:
    lab.set(answers_per_s=5)
    lab.await_next_second()
    before, began_s = lab.stats(), time.monotonic()
    for port in range(100):
        lab.send(tcp(CLIENT, SERVER, 40000, port))
    after = lab.stats()
    sent, limited = after.answers_sent - before.answers_sent, after.answers_limited - before.answers_limited
    assert sent + limited == 100
    seconds = time.monotonic() - began_s + 1
    assert 5 <= sent <= 5 * seconds * (os.cpu_count() or 1), "this many on each CPU"


def test_no_answers_at_all(lab: Laboratory) -> None:
    lab.set(answers_per_s=0)
    sent, moved = counted(lab, tcp(CLIENT, SERVER, 40000, 80))
    assert (sent.outcome, sent.answer, moved) == (Outcome.DROP_REJECTED, None, Answered(0, 1, 0))


@pytest.mark.only_tc
def test_own_answer_passes_by_its_mark(lab: Laboratory) -> None:
    marked = FrameContext(mark=ANSWER_MARK)
    reset = tcp(SERVER, CLIENT, 80, 40000, "RA")
    unreachable = (
        link() / IP(src=SERVER, dst=CLIENT) / ICMP(type=3, code=13) / V4 / TCP(sport=40000, dport=80)
    )
    for frame in (reset, unreachable):
        assert lab.send(frame, Direction.EGRESS, marked).outcome is Outcome.PASS_ANSWER
        assert not lab.send(frame, Direction.EGRESS).passed
    assert lab.send(tcp(SERVER, CLIENT, 80, 40000), Direction.EGRESS, marked).outcome is Outcome.DROP_REJECTED


def test_quoted_packet_is_the_one_that_came(lab: Laboratory) -> None:
    ping = link() / V4 / ICMP(type=8, id=7, seq=3)
    back = answer(lab, ping)
    assert bytes(back[IPerror])[:28] == bytes(ping[IP])[:28]
    assert (back[ICMPerror].id, back[ICMPerror].seq) == (7, 3)
    assert TCPerror not in back
