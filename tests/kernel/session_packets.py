"""Packets of a few connections, as the model sees them and as frames."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from kernel.session_model import ECHO, Endpoint, Sent, Signal
from wire import frame

from microseg.policy.packet import Packet
from microseg.policy.services import Protocol

SHORTEST = 60
IP_BYTES = {4: 14 + 20, 6: 14 + 40}
GRE = 47
TRANSPORT_BYTES: dict[int, int] = {
    Protocol.TCP: 20,
    Protocol.UDP: 8,
    Protocol.SCTP: 32,
    Protocol.ICMP: 8,
    Protocol.ICMPV6: 8,
    GRE: 20,
}
ECHO_REPLY: dict[int, int] = {Protocol.ICMP: 0, Protocol.ICMPV6: 129 << 8}
CHUNK, IDENTIFIER = 12, 4
"""Offsets in the headers of SCTP and ICMP."""
NUMBER, OTHER_NUMBER = 2**32 - 500, 70_000
"""What sides announce and repeat; a TCP server sends as many octets as an unscaled window holds behind it."""
WINDOW = 0xFFFF


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of packet: TCP's flags or the type of SCTP's first chunk, what that says; as in Sent."""

    number: int
    signal: Signal = Signal.NOTHING
    announced: int = NUMBER
    repeated: int = NUMBER


TCP_KINDS = {
    "S": Kind(0x02, Signal.OPEN),
    "SEC": Kind(0xC2, Signal.OPEN),
    "SA": Kind(0x12, Signal.ANSWER),
    "SA, another": Kind(0x12, Signal.ANSWER, announced=OTHER_NUMBER),
    "A": Kind(0x10),
    "A, of another": Kind(0x10, repeated=OTHER_NUMBER),
    "A, too early": Kind(0x10, repeated=NUMBER - 1),
    "A, of a full window": Kind(0x10, repeated=(NUMBER + WINDOW) % 2**32),
    "A, of more than was sent": Kind(0x10, repeated=(NUMBER + WINDOW + 1) % 2**32),
    "PA": Kind(0x18),
    "FA": Kind(0x11, Signal.CLOSE),
    "FA, guessed": Kind(0x11, Signal.CLOSE, repeated=OTHER_NUMBER + WINDOW + 1),
    "R": Kind(0x04, Signal.ABORT),
    "RA": Kind(0x14, Signal.ABORT | Signal.ACKNOWLEDGED),
}
SCTP_KINDS = {
    "INIT": Kind(1, Signal.OPEN),
    "INIT ACK": Kind(2, Signal.ANSWER),
    "INIT ACK, another": Kind(2, Signal.ANSWER, announced=OTHER_NUMBER),
    "COOKIE ECHO": Kind(10),
    "COOKIE ACK": Kind(11),
    "DATA": Kind(0),
    "DATA, guessed": Kind(0, repeated=NUMBER + 1),
    "SACK": Kind(3),
    "HEARTBEAT": Kind(4, Signal.PROBE),
    "HEARTBEAT, of another": Kind(4, Signal.PROBE, repeated=OTHER_NUMBER),
    "HEARTBEAT ACK": Kind(5, Signal.PROBE_ANSWER),
    "ABORT": Kind(6, Signal.ABORT | Signal.ACKNOWLEDGED),
    "SHUTDOWN": Kind(7, Signal.CLOSE),
    "SHUTDOWN ACK": Kind(8, Signal.CLOSE),
    "SHUTDOWN COMPLETE": Kind(14, Signal.CLOSE),
}
PLAIN = {"": Kind(0)}
CLIENT, SERVER = True, False
Life = tuple[tuple[bool, str], ...]
"""Who sends what, from the first packet to the last one."""
TCP_LIFE: Life = (
    (CLIENT, "S"),
    (SERVER, "SA"),
    (CLIENT, "A"),
    (CLIENT, "PA"),
    (SERVER, "PA"),
    (CLIENT, "FA"),
    (SERVER, "A"),
    (SERVER, "FA"),
    (CLIENT, "A"),
)
SCTP_LIFE: Life = (
    (CLIENT, "INIT"),
    (SERVER, "INIT ACK"),
    (CLIENT, "COOKIE ECHO"),
    (SERVER, "COOKIE ACK"),
    (CLIENT, "DATA"),
    (SERVER, "SACK"),
    (CLIENT, "SHUTDOWN"),
    (SERVER, "SHUTDOWN ACK"),
    (CLIENT, "SHUTDOWN COMPLETE"),
)
"""RFC 9260 5.1 and 9.2."""
PLAIN_LIFE: Life = ((CLIENT, ""), (SERVER, ""), (CLIENT, ""))
KINDS: dict[int, dict[str, Kind]] = {Protocol.TCP: TCP_KINDS, Protocol.SCTP: SCTP_KINDS}
LIVES: dict[int, Life] = {Protocol.TCP: TCP_LIFE, Protocol.SCTP: SCTP_LIFE}


@dataclass(frozen=True, slots=True)
class Talk:
    """Two ends that may talk; the first one is who begins when all goes as it should."""

    client: Endpoint
    server: Endpoint
    protocol: int

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kinds of packets of the protocol, by their names."""
        return KINDS.get(self.protocol, PLAIN)

    @property
    def life(self) -> Life:
        """An orderly life."""
        return LIVES.get(self.protocol, PLAIN_LIFE)

    def sent(self, kind: Kind, *, by_client: bool, padding: int = 0) -> Sent:
        """Return a packet of this talk, with octets behind it that belong to the frame only."""
        source, destination = (self.client, self.server) if by_client else (self.server, self.client)
        natural = IP_BYTES[source[0].version] + TRANSPORT_BYTES[self.protocol]
        length = max(natural, SHORTEST) + padding
        if self.protocol in ECHO:
            port = (ECHO if by_client else ECHO_REPLY)[self.protocol]
            packet = Packet(source[0], destination[0], self.protocol, port)
            return Sent(packet, kind.signal, length, identifier=source[1])
        packet = Packet(source[0], destination[0], self.protocol, destination[1], source[1])
        return Sent(packet, kind.signal, length, announced=kind.announced, repeated=kind.repeated)


def talk(client: str, server: str, protocol: int, source_port: int = 0, port: int = 0) -> Talk:
    """Return a talk between addresses; both ports are the identifier for ICMP."""
    return Talk((ip_address(client), source_port), (ip_address(server), port), protocol)


LOW, HIGH = "10.1.1.1", "10.1.2.1"
LOW6, HIGH6 = "2001:db8:1::1", "2001:db8:2::1"
TALKS = {
    "web": talk(LOW, HIGH, Protocol.TCP, 40000, 80),
    "web from the other side": talk(HIGH, LOW, Protocol.TCP, 40000, 80),
    "ssh": talk(LOW, HIGH, Protocol.TCP, 40001, 22),
    "web over IPv6": talk(LOW6, HIGH6, Protocol.TCP, 40000, 80),
    "dns": talk(LOW, HIGH, Protocol.UDP, 40000, 53),
    "dns over IPv6": talk(HIGH6, LOW6, Protocol.UDP, 40000, 53),
    "sctp": talk(LOW, HIGH, Protocol.SCTP, 40000, 80),
    "ping": talk(LOW, HIGH, Protocol.ICMP, 7, 7),
    "ping from the other side": talk(HIGH, LOW, Protocol.ICMP, 7, 7),
    "ping over IPv6": talk(LOW6, HIGH6, Protocol.ICMPV6, 7, 7),
    "gre": talk(LOW, HIGH, GRE),
}


def frame_of(sent: Sent, kind: Kind) -> bytes:
    """Return the frame of a packet, with octets behind it up to its length."""
    octets = bytearray(frame(sent.packet, kind.number))
    transport = IP_BYTES[sent.packet.src.version]
    if sent.identifier is not None:
        octets[transport + IDENTIFIER : transport + IDENTIFIER + 2] = sent.identifier.to_bytes(2, "big")
    if sent.packet.protocol == Protocol.TCP:
        octets[transport + 4 : transport + 12] = _words(sent.announced - 1, sent.repeated)
    if sent.packet.protocol == Protocol.SCTP:
        octets[transport + 4 : transport + 8] = _words(sent.repeated)
        octets[transport + CHUNK] = kind.number
        octets[transport + 16 : transport + 20] = _words(sent.announced)
    assert len(octets) <= sent.length, "longer than it says"
    return bytes(octets).ljust(sent.length, b"\0")


def _words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in numbers)
