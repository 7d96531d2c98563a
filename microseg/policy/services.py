"""Sets of (protocol, destination port, source port) with exact algebra.

Protocol and destination port are one 24-bit number, protocol << 16 | port, called the target. A set is a list
of slabs: intervals of the source port, each with the targets it allows. For ICMP and ICMPv6 the port is
type << 8 | code and the source port is 0; for protocols without ports both are 0.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import TYPE_CHECKING

from microseg.policy import ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from microseg.policy.ranges import Ranges

HIGHEST_PORT = 0xFFFF
HIGHEST_PROTOCOL = 0xFF
ALL_PORTS: ranges.Range = (0, HIGHEST_PORT)
ALL_TARGETS: Ranges = ((0, HIGHEST_PROTOCOL << 16 | HIGHEST_PORT),)


class Protocol(IntEnum):
    """The IP protocols that have ports or types (IANA protocol numbers)."""

    ICMP = 1
    TCP = 6
    UDP = 17
    ICMPV6 = 58
    SCTP = 132

    @property
    def is_icmp(self) -> bool:
        """Whether the port field holds type << 8 | code."""
        return self in (Protocol.ICMP, Protocol.ICMPV6)


@dataclass(frozen=True, slots=True, order=True)
class Slab:
    """The targets allowed from an interval of source ports.

    Attributes:
        low: first source port.
        high: last source port, included.
        targets: ranges of protocol << 16 | destination port.

    """

    low: int
    high: int
    targets: Ranges


@dataclass(frozen=True, slots=True)
class ServiceSet:
    """A set of services. Canonical: equal sets compare equal.

    Attributes:
        slabs: disjoint, ascending by source port, none empty, neighbours with equal targets merged.

    """

    slabs: tuple[Slab, ...] = ()

    @classmethod
    def of(
        cls,
        protocol: int,
        ports: ranges.Range = ALL_PORTS,
        source_ports: ranges.Range = ALL_PORTS,
    ) -> ServiceSet:
        """Return the service of one protocol with destination and source ports, both ends included."""
        targets = ((protocol << 16 | ports[0], protocol << 16 | ports[1]),)
        return cls((Slab(*source_ports, targets),))

    def __or__(self, other: ServiceSet) -> ServiceSet:
        return _overlay(self, other, ranges.union)

    def __and__(self, other: ServiceSet) -> ServiceSet:
        return _overlay(self, other, ranges.intersection)

    def __sub__(self, other: ServiceSet) -> ServiceSet:
        return _overlay(self, other, ranges.difference)

    def __bool__(self) -> bool:
        return bool(self.slabs)

    def __le__(self, other: ServiceSet) -> bool:
        return not self - other

    def contains(self, protocol: int, port: int, source_port: int) -> bool:
        """Say whether a packet with these fields is of the service."""
        target = protocol << 16 | port
        return any(
            slab.low <= source_port <= slab.high and ranges.contains(slab.targets, target)
            for slab in self.slabs
        )

    def overlaps(self, other: ServiceSet) -> bool:
        """Say whether the sets share a service."""
        return any(
            mine.low <= theirs.high
            and theirs.low <= mine.high
            and ranges.overlap(mine.targets, theirs.targets)
            for mine in self.slabs
            for theirs in other.slabs
        )

    def targets(self) -> Ranges:
        """Return the targets allowed from at least one source port."""
        return ranges.union(*(slab.targets for slab in self.slabs))

    def lowest(self) -> tuple[int, int, int]:
        """Return the first (protocol, destination port, source port). The set must not be empty."""
        slab = self.slabs[0]
        target = slab.targets[0][0]
        return target >> 16, target & HIGHEST_PORT, slab.low


def union(services: Iterable[ServiceSet]) -> ServiceSet:
    """Return the union of any number of services; those from the same source ports are joined at once."""
    targets: defaultdict[ranges.Range, list[Ranges]] = defaultdict(list)
    for service in services:
        for slab in service.slabs:
            targets[slab.low, slab.high].append(slab.targets)
    result = NO_SERVICE
    for (low, high), found in targets.items():
        result |= ServiceSet((Slab(low, high, ranges.union(*found)),))
    return result


def _targets_at(slabs: tuple[Slab, ...], source_port: int) -> Ranges:
    for slab in slabs:
        if slab.low <= source_port <= slab.high:
            return slab.targets
    return ranges.EMPTY


def _overlay(left: ServiceSet, right: ServiceSet, combine: Callable[[Ranges, Ranges], Ranges]) -> ServiceSet:
    """Cut the source ports where either set changes and combine the targets of each piece."""
    slabs = (*left.slabs, *right.slabs)
    starts = sorted({slab.low for slab in slabs} | {slab.high + 1 for slab in slabs})
    pieces: list[Slab] = []
    for low, following in pairwise(starts):
        targets = combine(_targets_at(left.slabs, low), _targets_at(right.slabs, low))
        if not targets:
            continue
        last = pieces[-1] if pieces else None
        if last and last.high + 1 == low and last.targets == targets:
            pieces[-1] = Slab(last.low, following - 1, targets)
        else:
            pieces.append(Slab(low, following - 1, targets))
    return ServiceSet(tuple(pieces))


NO_SERVICE = ServiceSet()
ANY_SERVICE = ServiceSet((Slab(*ALL_PORTS, ALL_TARGETS),))
