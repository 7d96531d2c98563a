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
    SCTP,
    SYN,
    TCP,
    Datagram,
    Reading,
    Shape,
)
from kernel.traffic_exceptions import ethertype_passes, impossible_source, unasked

from microseg.abi_flow import Direction
from microseg.abi_settings import Option, Settings
from microseg.policy.evaluate import evaluate_ordered
from microseg.policy.packet import Packet
from microseg.policy.rules import Ruleset

INIT, HEARTBEAT = 1, 4
"""Chunks that open an association, or another path of one (RFC 9260 5.1, 5.4)."""


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
        self._firsts: dict[Datagram, int] = {}
        self._spoken: set[tuple[Flow, object, int]] = set()

    def enforce(self, ruleset: Ruleset, settings: Settings) -> None:
        """Judge by this policy from now on; fragments of before are not continued."""
        self._ruleset, self._ordered = ruleset, ruleset.ordered()
        self._settings = settings
        self._firsts.clear()

    def judge(self, reading: Reading, direction: Direction) -> Opinion:
        """Say what must become of a frame."""
        match reading.shape:
            case Shape.MALFORMED | Shape.TOO_MANY_TAGS:
                return Opinion(Judgement.MUST_DROP, reading.why or reading.shape.value)
            case Shape.OTHER:
                passes = ethertype_passes(reading.ethertype, self._settings)
                return Opinion(Judgement.MUST_PASS if passes else Judgement.MUST_DROP, "its ethertype")
            case Shape.ARP | Shape.LATER_FRAGMENT | Shape.PACKET:
                exception = unasked(reading, direction, self._settings)
                if exception is None:
                    return self._judge_asked(reading)
                judgement = Judgement.EITHER if reading.odd else Judgement.MUST_PASS
                return Opinion(judgement, f"passes unasked: {exception.name}")

    def passed(self, reading: Reading) -> None:
        """Remember that a frame passed which was allowed to."""
        if reading.shape is not Shape.PACKET:
            return
        packet, flow = reading.packet, flow_of(reading)
        assert packet is not None
        if reading.datagram:
            self._firsts[reading.datagram] = reading.fragment_octets
        if reading.quoted is not None:
            return
        if self._allows(packet) and opens_flow(reading):
            self._openers.setdefault(flow, set()).add(packet)
        if flow in self._openers:
            self._spoken.add((flow, packet.src, packet.source_port))

    def _judge_asked(self, reading: Reading) -> Opinion:
        if reading.packet is None:
            return Opinion(Judgement.MUST_DROP, "ARP is set to be refused")
        if impossible_source(reading.packet.src):
            return Opinion(Judgement.MUST_DROP, "an impossible source")
        if reading.shape is Shape.LATER_FRAGMENT:
            return self._judge_fragment(reading)
        if reading.quoted is not None:
            return self._judge_error(reading)
        return self._judge_packet(reading)

    def _judge_fragment(self, reading: Reading) -> Opinion:
        assert reading.datagram is not None
        if reading.datagram not in self._firsts:
            return Opinion(Judgement.MUST_DROP, "a fragment whose first one did not pass")
        if reading.fragment_offset < self._firsts[reading.datagram]:
            return Opinion(Judgement.MUST_DROP, "a fragment that overlaps the first one")
        return Opinion(Judgement.EITHER, "a fragment whose first one passed")

    def _judge_error(self, reading: Reading) -> Opinion:
        """An ICMP error belongs to the packet it quotes, whatever the policy says of ICMP."""
        assert reading.packet is not None
        if self._quotes_known_flow(reading):
            return Opinion(Judgement.EITHER, "an error about a packet of a known flow")
        if Option.JUDGE_ICMP_ERRORS in self._settings.options and self._allows(reading.packet):
            return Opinion(Judgement.EITHER, "an error about anything, allowed by policy")
        return Opinion(Judgement.MUST_DROP, "an error about no known flow")

    def _judge_packet(self, reading: Reading) -> Opinion:
        packet = reading.packet
        assert packet is not None
        if self._is_known(reading) and not (is_opening(reading) and not self._allows(packet)):
            return Opinion(Judgement.EITHER, "of a flow that was opened and still may be")
        if not may_be_first(reading):
            return Opinion(Judgement.MUST_DROP, "a connection in progress that nobody opened")
        if not self._allows(packet):
            return Opinion(Judgement.MUST_DROP, "denied by policy")
        settled = not reading.odd and flow_of(reading) not in self._openers
        return Opinion(Judgement.MUST_PASS if settled else Judgement.EITHER, "allowed by policy")

    def _quotes_known_flow(self, reading: Reading) -> bool:
        """Say whether an error goes to the sender of a packet in a flow that is allowed."""
        quoted, packet = reading.quoted, reading.packet
        assert packet is not None
        if quoted is None or quoted.shape is not Shape.PACKET or quoted.packet is None:
            return False
        sender = (flow_of(quoted), quoted.packet.src, quoted.packet.source_port)
        return quoted.packet.src == packet.dst and sender in self._spoken and self._is_known(quoted)

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
    """Say whether a packet asks for a connection (RFC 9293 3.10.7.2, RFC 9260 5.1)."""
    packet = reading.packet
    assert packet is not None
    if packet.protocol == SCTP:
        return reading.chunk == INIT
    return packet.protocol == TCP and reading.tcp_flags & (SYN | ACK | RST | FIN) == SYN


def may_be_first(reading: Reading) -> bool:
    """Say whether a packet can be the first one of its flow."""
    packet = reading.packet
    assert packet is not None
    if packet.protocol in (TCP, SCTP):
        return is_opening(reading) or reading.chunk == HEARTBEAT
    return True


def opens_flow(reading: Reading) -> bool:
    """Say whether a packet that passed may be answered: of ICMP, only an echo."""
    packet = reading.packet
    assert packet is not None
    if packet.protocol in (ICMP, ICMPV6):
        return (packet.src.version, packet.protocol, packet.port) in ECHO
    return may_be_first(reading)


def is_reply(reading: Reading) -> bool:
    """Say whether this answers an ICMP echo."""
    packet = reading.packet
    assert packet is not None
    return (packet.src.version, packet.protocol, packet.port) in ECHO_REPLY
