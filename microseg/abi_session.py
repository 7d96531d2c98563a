"""Sessions as the kernel program keeps them: keys, values, states. See microseg.abi_flow for the rest."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address, IPv6Address, ip_address

from microseg.policy.rules import Verdict

IPAddress = IPv4Address | IPv6Address

_KEY4 = struct.Struct("=4s4s2s2sB3x")
_KEY6 = struct.Struct("=16s16s2s2sB3x")
_SESSION = struct.Struct("=2Q2QQ5I3Bx")
_FRAGMENT_KEY4 = struct.Struct("=4s4s2sBx")
_FRAGMENT_KEY6 = struct.Struct("=16s16s4s")
_FRAGMENT = struct.Struct("=Q2I2s2s3Bx")

SESSION_KEY4_SIZE = _KEY4.size
SESSION_KEY6_SIZE = _KEY6.size
SESSION_SIZE = _SESSION.size
FRAGMENT_KEY4_SIZE = _FRAGMENT_KEY4.size
FRAGMENT_KEY6_SIZE = _FRAGMENT_KEY6.size
FRAGMENT_SIZE = _FRAGMENT.size


COOKIE_BITS = 16
"""Of a session's cookie: what lines of the flow cache know a session of their key by."""


class State(IntEnum):
    """How far a session has come. The number is the one in the session's value."""

    OPENING = 0
    """The opener has spoken, the peer hasn't (also all one-way traffic)."""
    ANSWERED = 1
    """The peer has spoken, the opener not again; TCP: the peer has sent SYN-ACK."""
    STEADY = 2
    """Both have spoken; for TCP: established."""
    CLOSING = 3
    """TCP: one side has sent FIN; SCTP: SHUTDOWN."""
    CLOSED = 4
    """TCP: both sides have sent FIN, or one has sent RST; SCTP likewise."""


class SessionFlag(IntFlag):
    """Flags of a session."""

    CLIENT_IS_SECOND = 1
    """The opener is the second endpoint of the key."""
    LOG = 2
    """The rule asks for events."""
    ADOPTED = 4
    """The session is older than the enforcement: no opening packet was seen."""
    CLIENT_FIN = 8
    SERVER_FIN = 16
    CLIENT_ABORT = 32
    """TCP: it has sent RST."""
    SERVER_ABORT = 64
    ANSWERED = 128
    """The server has answered: TCP by SYN-ACK, SCTP by INIT ACK or HEARTBEAT ACK, others by any packet."""


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Both endpoints of a session in the order of the kernel's key, and its protocol.

    Attributes:
        first: endpoint as (address, port); the port is the identifier for ICMP echo, 0 without ports.
        second: the other endpoint.
        protocol: IP protocol number.

    """

    first: tuple[IPAddress, int]
    second: tuple[IPAddress, int]
    protocol: int

    @classmethod
    def from_bytes(cls, key: bytes) -> SessionKey:
        """Read a key of session4 (16 bytes) or session6 (40 bytes)."""
        layout = _KEY4 if len(key) == SESSION_KEY4_SIZE else _KEY6
        first, second, first_port_be, second_port_be, protocol = layout.unpack(key)
        return cls(
            (ip_address(first), int.from_bytes(first_port_be, "big")),
            (ip_address(second), int.from_bytes(second_port_be, "big")),
            protocol,
        )


@dataclass(frozen=True, slots=True)
class Session:
    """A session: value of session4/6 (and opening4/6), one cache line.

    Attributes:
        client: who opened it, as (address, port).
        server: the other one.
        protocol: IP protocol number.
        packets: from the client, from the server. Not atomic: an exact count needs each direction on one CPU.
        octets: likewise, lengths with the link header.
        last_seen: jiffies (64 bit) of the last packet, or until when the flow cache may answer for more.
        idle_limit: jiffies without a packet after which the session is gone.
        generation: the policy it was last judged under.
        rule: id of the rule that decided; 0: the default.
        cookie: tells sessions of one key apart; see COOKIE_BITS.
        ifindex: interface of the packet that established it; until then it stands for something else.
        verdict: ALLOW or AUDIT.
        state: how far it has come.
        flags: see SessionFlag.

    """

    client: tuple[IPAddress, int]
    server: tuple[IPAddress, int]
    protocol: int
    packets: tuple[int, int]
    octets: tuple[int, int]
    last_seen: int
    idle_limit: int
    generation: int
    rule: int
    cookie: int
    ifindex: int
    verdict: Verdict
    state: State
    flags: SessionFlag

    @classmethod
    def from_bytes(cls, key: bytes, value: bytes) -> Session:
        """Read an entry of a session map."""
        ends = SessionKey.from_bytes(key)
        words = _SESSION.unpack(value)
        last_seen, generation, rule, idle_limit, cookie, ifindex = words[4:10]
        verdict, flags, state = words[10:]
        client, server = ends.first, ends.second
        if flags & SessionFlag.CLIENT_IS_SECOND:
            client, server = server, client
        return cls(
            client=client,
            server=server,
            protocol=ends.protocol,
            packets=words[0:2],
            octets=words[2:4],
            last_seen=last_seen,
            idle_limit=idle_limit,
            generation=generation,
            rule=rule,
            cookie=cookie & ((1 << COOKIE_BITS) - 1),
            ifindex=ifindex,
            verdict=Verdict(verdict),
            state=State(state),
            flags=SessionFlag(flags),
        )


def c_constants() -> dict[str, int]:
    """Return every constant of this page as the C side names it (without the -D)."""
    constants = {
        "MS_SIZEOF_SESSION_KEY4": SESSION_KEY4_SIZE,
        "MS_SIZEOF_SESSION_KEY6": SESSION_KEY6_SIZE,
        "MS_SIZEOF_SESSION": SESSION_SIZE,
        "MS_SIZEOF_FRAGMENT_KEY4": FRAGMENT_KEY4_SIZE,
        "MS_SIZEOF_FRAGMENT_KEY6": FRAGMENT_KEY6_SIZE,
        "MS_SIZEOF_FRAGMENT": FRAGMENT_SIZE,
    }
    enums: tuple[tuple[str, type[IntEnum | IntFlag]], ...] = (("STATE", State), ("SESSION", SessionFlag))
    for prefix, members in enums:
        constants |= {f"MS_{prefix}_{member.name}": int(member) for member in members}
    return constants
