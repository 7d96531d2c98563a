"""Statistics and events as the kernel program sees them: sizes, layout, byte order.

Like microseg.abi for the policy maps, this is the only place with these layouts; the loader hands the
constants to the C compiler, and the C side asserts the sizes. Integers are in host order unless a name ends
in _be or the text says network order.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
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


_STATS = struct.Struct(f"={OUTCOME_SLOTS}Q16Q")
_EVENT = struct.Struct("=Q4I8B2s2s4x16s16s")

STATS_SIZE = _STATS.size
EVENT_SIZE = _EVENT.size


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
        answers_sent: rejected packets answered by a reset or an ICMP error.
        answers_limited: those not answered because of the rate limit.
        answers_omitted: those that may not or can't be answered (see docs/data-plane.md).
        default_packets: what the default has judged, as a rule's count.
        default_octets: of them.

    """

    outcomes: dict[Outcome, int]
    sessions_created: int
    sessions_full: int
    rejudged: int
    events_sent: int
    events_lost: int
    events_limited: int
    rules_full: int
    answers_sent: int
    answers_limited: int
    answers_omitted: int
    default_packets: int
    default_octets: int

    @classmethod
    def from_bytes(cls, per_cpu: list[bytes]) -> Stats:
        """Sum the values of all CPUs."""
        totals = [sum(column) for column in zip(*(_STATS.unpack(value) for value in per_cpu), strict=True)]
        outcomes = {outcome: totals[outcome] for outcome in Outcome}
        return cls(outcomes, *totals[OUTCOME_SLOTS : OUTCOME_SLOTS + 12])

    @property
    def packets(self) -> int:
        """All packets seen."""
        return sum(self.outcomes.values())

    @property
    def hit_rate(self) -> float | None:
        """The share of them that belonged to a session judged under the policy in force; None without any."""
        return self.outcomes[Outcome.PASS_SESSION] / self.packets if self.packets else None

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


def c_constants() -> dict[str, int]:
    """Return every constant of this page as the C side names it (without the -D)."""
    constants = {
        "MS_SIZEOF_STATS": STATS_SIZE,
        "MS_SIZEOF_EVENT": EVENT_SIZE,
    }
    enums: tuple[tuple[str, type[IntEnum]], ...] = (
        ("DIRECTION", Direction),
        ("LINK", Link),
    )
    for prefix, members in enums:
        constants |= {f"MS_{prefix}_{member.name}": int(member) for member in members}
    return constants
