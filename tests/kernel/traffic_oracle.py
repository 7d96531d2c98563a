"""May a filter pass this frame? Decided by the reference evaluator and by what has passed before.

The oracle knows less than the kernel (no timeouts, no eviction, no TCP states), so it often has to say
EITHER. It never says that of a frame which nothing allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from kernel.frame_parser import (
    ACK,
    ECHO,
    ECHO_REPLY,
    FIN,
    ICMP,
    ICMPV6,
    RST,
    SYN,
    TCP,
    Datagram,
    Reading,
    Shape,
)

from microseg.policy.evaluate import evaluate_ordered
from microseg.policy.packet import Packet
from microseg.policy.rules import Ruleset

NEIGHBOUR_DISCOVERY = range(133, 138)
LISTENER_DISCOVERY = (130, 131, 132, 143)
ERRORS_LET_THROUGH = {ICMP: (3, 11, 12), ICMPV6: (1, 2, 3, 4)}
"""Errors that may pass for the packet they quote: not redirects, nor source quench (RFC 6633)."""
TCP_HEADER_REST = 8
"""A fragment that starts here rewrites TCP's flags (RFC 1858 3)."""


class Judgement(Enum):
    """What a filter has to do with a frame."""

    MUST_DROP = 0
    EITHER = 1
    MUST_PASS = 2


@dataclass(frozen=True, slots=True)
class Opinion:
    """A judgement and its reason."""

    judgement: Judgement
    reason: str


Flow = tuple[int, tuple[object, ...], tuple[object, ...], object]


class Oracle:
    """Remembers what passed."""

    def __init__(self) -> None:
        self._openers: dict[Flow, set[Packet]] = {}
        self._firsts: set[Datagram] = set()

    def enforce(self, ruleset: Ruleset) -> None:
        """Judge by this policy from now on; fragments of before are not continued."""
        self._ruleset, self._ordered = ruleset, ruleset.ordered()
        self._firsts.clear()

    def judge(self, reading: Reading) -> Opinion:
        """Say what must become of a frame."""
        match reading.shape:
            case Shape.ARP:
                return Opinion(Judgement.EITHER if reading.odd else Judgement.MUST_PASS, "ARP")
            case Shape.MALFORMED | Shape.OTHER | Shape.TOO_MANY_TAGS:
                return Opinion(Judgement.MUST_DROP, reading.why or reading.shape.value)
            case Shape.LATER_FRAGMENT:
                return self._judge_fragment(reading)
            case Shape.PACKET:
                return self._judge_packet(reading)

    def passed(self, reading: Reading) -> None:
        """Remember that a frame passed which was allowed to."""
        if reading.shape is not Shape.PACKET:
            return
        assert reading.packet is not None
        if reading.datagram:
            self._firsts.add(reading.datagram)
        if self._allows(reading.packet) and opens_flow(reading):
            self._openers.setdefault(flow_of(reading), set()).add(reading.packet)

    def _judge_fragment(self, reading: Reading) -> Opinion:
        assert reading.packet is not None
        if reading.datagram not in self._firsts:
            return Opinion(Judgement.MUST_DROP, "a fragment whose first one did not pass")
        if reading.packet.protocol == TCP and reading.fragment_offset <= TCP_HEADER_REST:
            return Opinion(Judgement.MUST_DROP, "a fragment that rewrites the TCP header")
        return Opinion(Judgement.EITHER, "a fragment whose first one passed")

    def _judge_packet(self, reading: Reading) -> Opinion:
        packet = reading.packet
        assert packet is not None
        if is_link_local_duty(reading):
            unusual = reading.odd or reading.datagram
            return Opinion(Judgement.EITHER if unusual else Judgement.MUST_PASS, "neighbour discovery")
        if self._is_known(reading):
            return Opinion(Judgement.EITHER, "of a flow that was opened and still may be")
        if packet.protocol == TCP and not is_opening(reading):
            return Opinion(Judgement.MUST_DROP, "TCP in progress that nobody opened")
        if self._allows(packet):
            settled = not reading.odd and reading.quoted is None and flow_of(reading) not in self._openers
            return Opinion(Judgement.MUST_PASS if settled else Judgement.EITHER, "allowed by policy")
        if self._quotes_known_flow(reading):
            return Opinion(Judgement.EITHER, "an error about a packet of a known flow")
        return Opinion(Judgement.MUST_DROP, "denied by policy")

    def _quotes_known_flow(self, reading: Reading) -> bool:
        """Say whether this is an error, to the sender of a packet in a flow that is allowed."""
        quoted, packet = reading.quoted, reading.packet
        assert packet is not None
        if quoted is None or quoted.shape is not Shape.PACKET or quoted.packet is None:
            return False
        if packet.port >> 8 not in ERRORS_LET_THROUGH[packet.protocol] or quoted.packet.src != packet.dst:
            return False
        return self._is_known(quoted)

    def _is_known(self, reading: Reading) -> bool:
        return any(self._allows(opener) for opener in self._openers.get(flow_of(reading), ()))

    def _allows(self, packet: Packet) -> bool:
        return evaluate_ordered(self._ruleset, self._ordered, packet).verdict.passes


def flow_of(reading: Reading) -> Flow:
    """Return what both directions of a flow have in common."""
    packet = reading.packet
    assert packet is not None
    if reading.identifier is not None:
        asker, asked = (packet.dst, packet.src) if is_reply(reading) else (packet.src, packet.dst)
        return packet.protocol, (asker,), (asked,), reading.identifier
    if packet.protocol in (ICMP, ICMPV6):
        return packet.protocol, (packet.src,), (packet.dst,), ("message", packet.port)
    ends = sorted(((int(packet.src), packet.source_port), (int(packet.dst), packet.port)))
    return packet.protocol, ends[0], ends[1], packet.src.version


def is_opening(reading: Reading) -> bool:
    """Say whether a TCP packet asks for a connection (RFC 9293 3.10.7.2)."""
    return reading.tcp_flags & (SYN | ACK | RST | FIN) == SYN


def opens_flow(reading: Reading) -> bool:
    """Say whether a packet that passed may be answered: of ICMP, only an echo."""
    packet = reading.packet
    assert packet is not None
    if packet.protocol in (ICMP, ICMPV6):
        return is_echo(reading)
    return packet.protocol != TCP or is_opening(reading)


def is_reply(reading: Reading) -> bool:
    """Say whether this answers an ICMP echo."""
    packet = reading.packet
    assert packet is not None
    return (packet.src.version, packet.protocol, packet.port) in ECHO_REPLY


def is_echo(reading: Reading) -> bool:
    """Say whether this is an ICMP echo."""
    packet = reading.packet
    assert packet is not None
    return (packet.src.version, packet.protocol, packet.port) in ECHO


def is_link_local_duty(reading: Reading) -> bool:
    """Say whether it is neighbour or listener discovery of this link (the exceptions of I6)."""
    packet = reading.packet
    assert packet is not None
    if packet.src.version != 6 or packet.protocol != ICMPV6 or packet.port & 0xFF:
        return False
    kind = packet.port >> 8
    if kind in NEIGHBOUR_DISCOVERY:
        return reading.hop_limit == 255
    from_here = packet.src.is_link_local or packet.src.is_unspecified
    return kind in LISTENER_DISCOVERY and reading.hop_limit == 1 and from_here
