"""Services as rectangles: some targets, each from the same source ports.

Only packets that exist count: protocols without ports have port and source port 0, ICMP has source port 0
(policy/packet.py). Where the source port can only be 0 a rectangle names all source ports.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from microseg.policy import ranges
from microseg.policy.services import (
    ALL_PORTS,
    HIGHEST_PORT,
    HIGHEST_PROTOCOL,
    Protocol,
    ServiceSet,
    Slab,
    union,
)

if TYPE_CHECKING:
    from microseg.policy.ranges import Range, Ranges

Rectangle: TypeAlias = "tuple[Ranges, Ranges]"
"""Targets (protocol << 16 | destination port) and source ports."""

_REMEMBERED = 4096
"""How many results are kept: the services of a policy are few and come back often."""

EVERY_SOURCE_PORT: Ranges = (ALL_PORTS,)


def _all_ports(protocol: int) -> Range:
    return protocol << 16, protocol << 16 | HIGHEST_PORT


PORTED: Ranges = tuple(_all_ports(protocol) for protocol in (Protocol.TCP, Protocol.UDP, Protocol.SCTP))
"""The targets with source ports."""

UNPORTED: Ranges = ranges.normalize(
    _all_ports(number) if number in (Protocol.ICMP, Protocol.ICMPV6) else (number << 16, number << 16)
    for number in range(HIGHEST_PROTOCOL + 1)
    if number not in (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
)
"""The targets of packets whose source port is 0."""

_ICMP: Ranges = (_all_ports(Protocol.ICMP), _all_ports(Protocol.ICMPV6))
_BARE: Ranges = ranges.difference(UNPORTED, _ICMP)
"""The targets of protocols that have neither ports nor types."""

TARGETS: Ranges = ranges.union(PORTED, UNPORTED)
"""The targets that packets have."""


@lru_cache(_REMEMBERED)
def of_service(service: ServiceSet) -> tuple[Rectangle, ...]:
    """Return disjoint rectangles that together are the packets of a service."""
    found: defaultdict[Ranges, list[Range]] = defaultdict(list)
    for targets, sources in _pieces(service):
        ported = ranges.intersection(targets, PORTED)
        if ported:
            found[sources].extend(ported)
        if ranges.contains(sources, 0):
            found[EVERY_SOURCE_PORT].extend(ranges.intersection(targets, UNPORTED))
    return tuple((ranges.normalize(targets), sources) for sources, targets in found.items() if targets)


@lru_cache(_REMEMBERED)
def to_service(targets: Ranges, sources: Ranges) -> ServiceSet:
    """Return the service of one rectangle: the inverse of `of_service`; protocols without ports are whole."""
    ported = ranges.intersection(targets, PORTED)
    bare = (_all_ports(low >> 16) for low, _ in ranges.intersection(targets, _BARE))
    unported = ranges.normalize([*ranges.intersection(targets, _ICMP), *bare])
    service = ServiceSet((Slab(*ALL_PORTS, unported),) if unported else ())
    slabs = tuple(Slab(low, high, ported) for low, high in sources if ported)
    return service | ServiceSet(slabs) if unported else ServiceSet(slabs)


@lru_cache(_REMEMBERED)
def real(service: ServiceSet) -> ServiceSet:
    """Return a service in the form in which services of the same packets are equal."""
    return union(to_service(*rectangle) for rectangle in of_service(service))


def _pieces(service: ServiceSet) -> list[Rectangle]:
    """Return a service as targets with their source ports, no target twice."""
    if len(service.slabs) == 1:
        slab = service.slabs[0]
        return [(slab.targets, ((slab.low, slab.high),))]
    edges = sorted({edge for slab in service.slabs for low, high in slab.targets for edge in (low, high + 1)})
    found: list[Rectangle] = []
    for low, following in pairwise(edges):
        sources = ranges.normalize(
            (slab.low, slab.high) for slab in service.slabs if ranges.contains(slab.targets, low)
        )
        if sources:
            found.append((((low, following - 1),), sources))
    return found
