"""What the data plane does with the packets of connections, in plain Python: sessions, states, the policy.

The program in the kernel and this page are written apart and have to agree packet by packet. Both follow
docs/architecture.md ("A packet"), docs/data-plane.md, RFC 9293 for TCP and RFC 9260 for SCTP. Sequence
numbers aren't followed but for the server's first, so nothing that a forged packet may say ends or opens a
session for good.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Flag, auto

from microseg.abi_outcome import Outcome
from microseg.abi_session import SessionFlag, State
from microseg.abi_settings import DEFAULT_IDLE_S, Idle
from microseg.policy.addresses import IPAddress
from microseg.policy.evaluate import Decision, evaluate
from microseg.policy.packet import Packet
from microseg.policy.rules import OrderedRule, Ruleset, Verdict
from microseg.policy.services import Protocol

Endpoint = tuple[IPAddress, int]
HANDSHAKE = (Protocol.TCP, Protocol.SCTP)
ECHO: dict[int, int] = {Protocol.ICMP: 8 << 8, Protocol.ICMPV6: 128 << 8}
"""What policy sees as the port of an ICMP echo."""
NO_FLAGS = SessionFlag(0)
FINS = SessionFlag.CLIENT_FIN | SessionFlag.SERVER_FIN
ABORTS = SessionFlag.CLIENT_ABORT | SessionFlag.SERVER_ABORT


class Signal(Flag):
    """What a packet says about its connection."""

    NOTHING = 0
    OPEN = auto()
    """SYN; INIT."""
    ANSWER = auto()
    """SYN-ACK; INIT ACK."""
    CLOSE = auto()
    """FIN; SHUTDOWN and what answers it."""
    ABORT = auto()
    """RST; ABORT."""
    ACKNOWLEDGED = auto()
    """An ABORT that acknowledges what the other side sent; SCTP's always does, by its verification tag."""
    PROBE = auto()
    """HEARTBEAT, which may open another path of an association."""
    PROBE_ANSWER = auto()
    """HEARTBEAT ACK."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet.

    Attributes:
        packet: what policy sees.
        signal: what it says about the connection.
        length: octets of the frame.
        identifier: of ICMP echo and its reply.
        announced: what the other side has to repeat: TCP's sequence number plus 1, SCTP's initiate tag.
        repeated: what it repeats of the other side: TCP's acknowledgement number, SCTP's verification tag.

    """

    packet: Packet
    signal: Signal = Signal.NOTHING
    length: int = 60
    identifier: int | None = None
    announced: int = 0
    repeated: int = 0

    @property
    def ends(self) -> tuple[Endpoint, Endpoint]:
        """Source and destination; the identifier stands for the ports of ICMP echo."""
        if self.identifier is not None:
            return (self.packet.src, self.identifier), (self.packet.dst, self.identifier)
        return (self.packet.src, self.packet.source_port), (self.packet.dst, self.packet.port)

    @property
    def is_reply(self) -> bool:
        """Whether it answers an ICMP echo."""
        return self.identifier is not None and self.packet.port != ECHO[self.packet.protocol]

    @property
    def key(self) -> tuple[object, ...]:
        """What it has in common with the other packets of its session."""
        if self.identifier is None:
            return self.packet.protocol, frozenset(self.ends)
        source, destination = self.ends
        return self.packet.protocol, *((destination, source) if self.is_reply else (source, destination))


@dataclass(slots=True)
class ModelSession:
    """A session; attributes as in abi_session.Session, times in seconds.

    Attributes:
        established: it has left the map of opening sessions.
        seen_s: the model's time of the last packet.
        challenge: what the client has to repeat to get there.

    """

    client: Endpoint
    server: Endpoint
    protocol: int
    generation: int
    rule: OrderedRule | None
    verdict: Verdict
    flags: SessionFlag = NO_FLAGS
    state: State = State.OPENING
    established: bool = False
    packets: list[int] = field(default_factory=lambda: [0, 0])
    octets: list[int] = field(default_factory=lambda: [0, 0])
    seen_s: int = 0
    idle_limit_s: int = 0
    challenge: int = 0

    def from_server(self, sent: Sent) -> bool:
        return sent.ends[0] != self.client

    def opener(self) -> Packet:
        """Return the packet that policy is asked about again: the client's first one."""
        (src, source_port), (dst, port) = self.client, self.server
        if self.protocol in ECHO:
            return Packet(src, dst, self.protocol, ECHO[self.protocol])
        return Packet(src, dst, self.protocol, port, source_port)


class SessionModel:
    """Sessions under a policy that may change. Time only passes when it is told to."""

    def __init__(self) -> None:
        self.sessions: dict[tuple[object, ...], ModelSession] = {}
        self.judged: Counter[OrderedRule | None] = Counter()
        self.idle_s = dict(DEFAULT_IDLE_S)
        self.adopting = False
        self.now_s = 0
        self.generation = 0
        self._policies: dict[int, Ruleset] = {}

    def enforce(self, generation: int, ruleset: Ruleset) -> None:
        """Put a policy in force; the one of the generation before can come back."""
        self._policies[generation] = ruleset
        self.generation = generation

    def go_back_to(self, generation: int) -> None:
        """Put an earlier generation in force again; 0: no policy."""
        self.generation = generation

    def send(self, sent: Sent) -> Outcome:
        """Say what becomes of a packet, and remember it."""
        if not self.generation:
            return Outcome.PASS_NO_POLICY
        session = self.sessions.get(sent.key)
        if session and self.now_s - session.seen_s > session.idle_limit_s:
            del self.sessions[sent.key]
            session = None
        if session is None:
            return self._first(sent)
        if Signal.OPEN in sent.signal:
            if session.state is State.CLOSED:
                return self._judged(sent, opens=True)
            if session.from_server(sent):
                return self._judged(sent, opens=False)
        if session.generation == self.generation:
            self._advance(session, sent)
            return Outcome.PASS_SESSION
        return self._judged_again(session, sent)

    def _first(self, sent: Sent) -> Outcome:
        """A packet of no session: TCP and SCTP must open one, or be older than the enforcement."""
        in_progress = sent.packet.protocol in HANDSHAKE and not sent.signal & (Signal.OPEN | Signal.PROBE)
        if not in_progress:
            return self._judged(sent, opens=not sent.is_reply)
        return self._adopted(sent) if self.adopting else Outcome.DROP_NO_SESSION

    def _judged(self, sent: Sent, *, opens: bool) -> Outcome:
        """Judge a packet for itself; one that passes opens a session, in the place of a closed one."""
        decision = self._decide(sent.packet)
        if not decision.verdict.passes:
            return denial(decision)
        if opens:
            self._open(sent, decision, client=sent.ends[0])
        if decision.verdict is Verdict.AUDIT:
            return Outcome.PASS_AUDIT
        return Outcome.PASS_NEW if opens else Outcome.PASS_STATELESS

    def _adopted(self, sent: Sent) -> Outcome:
        """Take over a connection in progress: either side may have opened it."""
        source, destination = sent.ends
        client, decision = source, evaluate(self._policy(), sent.packet)
        if not decision.verdict.passes:
            client, decision = destination, evaluate(self._policy(), backwards(sent.packet))
        self._note(decision)
        if not decision.verdict.passes:
            return denial(decision)
        self._open(sent, decision, client, SessionFlag.ADOPTED)
        return Outcome.PASS_AUDIT if decision.verdict is Verdict.AUDIT else Outcome.PASS_ADOPTED

    def _open(self, sent: Sent, decision: Decision, client: Endpoint, flags: SessionFlag = NO_FLAGS) -> None:
        source, destination = sent.ends
        session = ModelSession(
            client=client,
            server=destination if client == source else source,
            protocol=sent.packet.protocol,
            generation=self.generation,
            rule=rule_of(decision),
            verdict=decision.verdict,
            flags=flags | log_flag(decision),
            challenge=sent.repeated if Signal.PROBE in sent.signal else 0,
        )
        if SessionFlag.ADOPTED in flags:
            session.state = next_state(session, sent)
        session.idle_limit_s = self.idle_s[idle_of(session)]
        self._count(session, sent)
        self.sessions[sent.key] = session

    def _judged_again(self, session: ModelSession, sent: Sent) -> Outcome:
        """The policy has changed: ask it about the opener, whoever sent this packet."""
        decision = self._decide(session.opener())
        if not decision.verdict.passes:
            del self.sessions[sent.key]
            return Outcome.DROP_REVOKED
        session.rule, session.verdict = rule_of(decision), decision.verdict
        session.flags = session.flags & ~SessionFlag.LOG | log_flag(decision)
        session.generation = self.generation
        self._advance(session, sent)
        return Outcome.PASS_REJUDGED

    def _advance(self, session: ModelSession, sent: Sent) -> None:
        state = next_state(session, sent)
        self._count(session, sent)
        if state is session.state:
            return
        session.state = state
        session.idle_limit_s = self.idle_s[idle_of(session)]
        if state in (State.STEADY, State.CLOSING):
            session.established = True

    def _count(self, session: ModelSession, sent: Sent) -> None:
        side = session.from_server(sent)
        session.packets[side] += 1
        session.octets[side] += sent.length
        session.seen_s = self.now_s

    def _decide(self, packet: Packet) -> Decision:
        decision = evaluate(self._policy(), packet)
        self._note(decision)
        return decision

    def _note(self, decision: Decision) -> None:
        self.judged[rule_of(decision)] += 1

    def _policy(self) -> Ruleset:
        return self._policies[self.generation]


def next_state(session: ModelSession, sent: Sent) -> State:
    """Return the state after a packet, and set the session's flags."""
    from_server, signal = session.from_server(sent), sent.signal
    adopted = SessionFlag.ADOPTED in session.flags
    if Signal.ABORT in signal:
        # Before any answer, only a reset that acknowledges the SYN is one to it (RFC 9293 3.10.7.3).
        unanswered = session.state is State.OPENING and not adopted
        if unanswered and from_server and Signal.ACKNOWLEDGED not in signal:
            return session.state
        session.flags |= SessionFlag.SERVER_ABORT if from_server else SessionFlag.CLIENT_ABORT
        return State.CLOSED
    state = session.state
    if state is State.CLOSED:
        state = revived(session, sent)
        if state is State.CLOSED:
            return state
    state = opened(session, sent, state)
    if state is State.OPENING and not adopted:
        return state
    if Signal.CLOSE in signal:
        session.flags |= SessionFlag.SERVER_FIN if from_server else SessionFlag.CLIENT_FIN
    if session.flags & FINS == FINS:
        return State.CLOSED
    return State.CLOSING if session.flags & FINS and state >= State.STEADY else state


def opened(session: ModelSession, sent: Sent, state: State) -> State:
    """The way from the first packet to the established session: there, back, and there again."""
    if state >= State.STEADY:
        return state
    shakes_hands = session.protocol in HANDSHAKE and SessionFlag.ADOPTED not in session.flags
    if session.from_server(sent):
        if shakes_hands and not sent.signal & (Signal.ANSWER | Signal.PROBE_ANSWER):
            return state
        if Signal.ANSWER in sent.signal:
            session.challenge = sent.announced
        session.flags |= SessionFlag.ANSWERED
        return State.ANSWERED
    if state is State.OPENING or Signal.OPEN in sent.signal:
        return state
    return State.STEADY if not shakes_hands or meets_challenge(session, sent) else state


def meets_challenge(session: ModelSession, sent: Sent) -> bool:
    """Whether the client has got the server's answer; of TCP, with what an unscaled window holds."""
    if session.protocol == Protocol.SCTP:
        return sent.repeated == session.challenge
    return (sent.repeated - session.challenge) % 2**32 < 2**16


def revived(session: ModelSession, sent: Sent) -> State:
    """Whoever has aborted doesn't speak again: the reset was forged, or overtook what was sent before it."""
    aborted = SessionFlag.SERVER_ABORT if session.from_server(sent) else SessionFlag.CLIENT_ABORT
    if aborted not in session.flags or Signal.OPEN in sent.signal:
        return State.CLOSED
    session.flags &= ~ABORTS
    if session.established:
        return State.STEADY
    return State.ANSWERED if SessionFlag.ANSWERED in session.flags else State.OPENING


def idle_of(session: ModelSession) -> Idle:
    """Return which idle timeout a session is under."""
    steady = session.state is State.STEADY or SessionFlag.ADOPTED in session.flags
    match session.protocol:
        case Protocol.TCP if session.state is State.CLOSED:
            return Idle.TCP_CLOSED
        case Protocol.TCP if session.state is State.CLOSING:
            return Idle.TCP_CLOSING
        case Protocol.TCP:
            return Idle.TCP_STEADY if steady else Idle.TCP_OPENING
        case Protocol.SCTP if session.state >= State.CLOSING:
            return Idle.SCTP_CLOSED
        case Protocol.SCTP:
            return Idle.SCTP_STEADY if steady else Idle.SCTP_OPENING
        case Protocol.UDP:
            return Idle.UDP_STEADY if steady else Idle.UDP_OPENING
        case Protocol.ICMP | Protocol.ICMPV6:
            return Idle.ICMP
        case _:
            return Idle.OTHER


def denial(decision: Decision) -> Outcome:
    """Return the outcome of a packet that doesn't pass."""
    if decision.verdict is Verdict.REJECT:
        return Outcome.DROP_REJECTED
    return Outcome.DROP_DENIED if rule_of(decision) else Outcome.DROP_DEFAULT


def log_flag(decision: Decision) -> SessionFlag:
    """Return the flag of a session whose rule asks for events."""
    return SessionFlag.LOG if decision.log else NO_FLAGS


def rule_of(decision: Decision) -> OrderedRule | None:
    """Return the rule that decided; None: the default."""
    return decision.decider if isinstance(decision.decider, OrderedRule) else None


def backwards(packet: Packet) -> Packet:
    """Return a packet of the other direction."""
    return Packet(packet.dst, packet.src, packet.protocol, packet.source_port, packet.port)
