"""Statistics, events and settings as the kernel program sees them: sizes, layout, byte order.

Like microseg.abi for the policy maps, this is the only place with these layouts; the loader hands the
constants to the C compiler, and the C side asserts the sizes. Integers are in host order unless a name ends
in _be or the text says network order.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

from microseg.abi_outcome import OUTCOME_SLOTS, Outcome
from microseg.policy.rules import Verdict

IPAddress = IPv4Address | IPv6Address


class Direction(IntEnum):
    """Which way a packet crosses the interface; the numbers are those of events."""

    INGRESS = 0
    EGRESS = 1


class Link(IntEnum):
    """What a frame starts with on an interface."""

    ETHERNET = 0
    NONE = 1
    """The IP header (tun, wireguard and other tunnels)."""


class Idle(IntEnum):
    """Which of the idle timeouts a session is under; the number is the index in the settings."""

    TCP_OPENING = 0
    TCP_STEADY = 1
    TCP_CLOSING = 2
    TCP_CLOSED = 3
    UDP_OPENING = 4
    UDP_STEADY = 5
    ICMP = 6
    OTHER = 7


IDLE_SLOTS = 16

DEFAULT_IDLE_S: dict[Idle, int] = {
    Idle.TCP_OPENING: 60,
    Idle.TCP_STEADY: 8 * 3600,
    Idle.TCP_CLOSING: 120,
    Idle.TCP_CLOSED: 30,
    Idle.UDP_OPENING: 30,
    Idle.UDP_STEADY: 180,
    Idle.ICMP: 30,
    Idle.OTHER: 600,
}

_SETTINGS = struct.Struct(f"=4I{IDLE_SLOTS}I")
_STATS = struct.Struct(f"={OUTCOME_SLOTS}Q8Q")
_EVENT = struct.Struct("=Q4I8B2s2s4x16s16s")
_COUNT = struct.Struct("=2Q")

SETTINGS_SIZE = _SETTINGS.size
STATS_SIZE = _STATS.size
EVENT_SIZE = _EVENT.size
RULE_COUNT_SIZE = _COUNT.size


@dataclass(frozen=True, slots=True)
class Settings:
    """Map `config`: array of one, written by user space only.

    Attributes:
        adopt_until_s: boot time in seconds until which TCP connections in progress are adopted; 0: never.
        events_per_s: events each CPU may send in a second; 0: none.
        hz: jiffies per second of the running kernel.
        idle_s: idle timeouts in seconds.

    """

    adopt_until_s: int = 0
    events_per_s: int = 1000
    hz: int = 250
    idle_s: dict[Idle, int] = field(default_factory=lambda: dict(DEFAULT_IDLE_S))

    def to_bytes(self) -> bytes:
        """Return the map value; timeouts become jiffies."""
        idle = [0] * IDLE_SLOTS
        for which, seconds in self.idle_s.items():
            idle[which] = min(seconds * self.hz, 0xFFFFFFFF)
        return _SETTINGS.pack(self.adopt_until_s, self.events_per_s, self.hz, 0, *idle)

    @classmethod
    def from_bytes(cls, value: bytes) -> Settings:
        """Read a map value."""
        adopt_until_s, events_per_s, hz, _, *idle = _SETTINGS.unpack(value)
        return cls(adopt_until_s, events_per_s, hz, {which: idle[which] // max(hz, 1) for which in Idle})


@dataclass(frozen=True, slots=True)
class Stats:
    """Map `stats`: per-CPU array of one, summed over the CPUs here.

    Attributes:
        outcomes: packets by how they ended.
        sessions_created: sessions opened.
        sessions_full: allowed packets whose session could not be stored.
        rejudged: sessions judged again after a policy change.
        events_sent: events written to the ring buffer.
        events_lost: events that found the ring buffer full.
        events_limited: events held back by the rate limit.
        rules_full: judgements not counted because rule_counters was full.

    """

    outcomes: dict[Outcome, int]
    sessions_created: int
    sessions_full: int
    rejudged: int
    events_sent: int
    events_lost: int
    events_limited: int
    rules_full: int

    @classmethod
    def from_bytes(cls, per_cpu: list[bytes]) -> Stats:
        """Sum the values of all CPUs."""
        totals = [sum(column) for column in zip(*(_STATS.unpack(value) for value in per_cpu), strict=True)]
        outcomes = {outcome: totals[outcome] for outcome in Outcome}
        return cls(outcomes, *totals[OUTCOME_SLOTS : OUTCOME_SLOTS + 7])

    @property
    def packets(self) -> int:
        """All packets seen."""
        return sum(self.outcomes.values())

    @property
    def passed(self) -> int:
        """Packets that went on."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.passes)

    @property
    def dropped(self) -> int:
        """Packets that didn't."""
        return self.packets - self.passed


@dataclass(frozen=True, slots=True)
class Event:
    """One record of the ring buffer flow_events.

    Attributes:
        boot_ns: nanoseconds since boot (suspended time included).
        generation: the policy that judged.
        rule: id of the rule that decided; 0: the default, or none was asked (see outcome).
        ifindex: interface.
        length: bytes of the packet with its link header.
        protocol: IP protocol number; 0 when it wasn't parsed that far.
        direction: which way it crossed the interface.
        verdict: of the policy; None when the packet never got as far as being judged.
        outcome: how it ended.
        source: address and port; the port is type << 8 | code of ICMP on the destination's side.
        destination: likewise; None for both when it isn't IP.

    """

    boot_ns: int
    generation: int
    rule: int
    ifindex: int
    length: int
    protocol: int
    direction: Direction
    verdict: Verdict | None
    outcome: Outcome
    source: tuple[IPAddress, int] | None
    destination: tuple[IPAddress, int] | None

    @classmethod
    def from_bytes(cls, record: bytes) -> Event:
        """Read a record of EVENT_SIZE bytes."""
        (boot_ns, generation, rule, ifindex, length, family, protocol, direction, verdict, outcome, *rest) = (
            _EVENT.unpack(record)
        )
        source_port_be, destination_port_be, source, destination = rest[3:]
        width = {4: 4, 6: 16}.get(family)
        ends = (
            (
                (ip_address(source[:width]), int.from_bytes(source_port_be, "big")),
                (ip_address(destination[:width]), int.from_bytes(destination_port_be, "big")),
            )
            if width
            else (None, None)
        )
        return cls(
            boot_ns,
            generation,
            rule,
            ifindex,
            length,
            protocol,
            Direction(direction),
            Verdict(verdict) if verdict else None,
            Outcome(outcome),
            *ends,
        )


def decode_rule_count(per_cpu: list[bytes]) -> tuple[int, int]:
    """Return (packets, bytes) of a rule_counters value, all CPUs together."""
    pairs = [_COUNT.unpack(value) for value in per_cpu]
    return sum(packets for packets, _ in pairs), sum(octets for _, octets in pairs)


def c_constants() -> dict[str, int]:
    """Return every constant of this page as the C side names it (without the -D)."""
    constants = {
        "MS_IDLE_SLOTS": IDLE_SLOTS,
        "MS_SIZEOF_SETTINGS": SETTINGS_SIZE,
        "MS_SIZEOF_STATS": STATS_SIZE,
        "MS_SIZEOF_EVENT": EVENT_SIZE,
        "MS_SIZEOF_RULE_COUNT": RULE_COUNT_SIZE,
    }
    enums: tuple[tuple[str, type[IntEnum]], ...] = (
        ("DIRECTION", Direction),
        ("LINK", Link),
        ("IDLE", Idle),
    )
    for prefix, members in enums:
        constants |= {f"MS_{prefix}_{member.name}": int(member) for member in members}
    return constants
