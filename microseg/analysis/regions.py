"""Exact regions of the packet space: products of a source set, a destination set and a service."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from microseg.policy.addresses import AddressSet, Family
from microseg.policy.packet import Packet
from microseg.policy.services import HIGHEST_PORT, Protocol, ServiceSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microseg.policy.rules import Rule

_SHOWN_FIRST = (Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP, Protocol.ICMPV6)


@dataclass(frozen=True, slots=True)
class Region:
    """All packets from src to dst of the service; both ends are of one family."""

    src: AddressSet
    dst: AddressSet
    service: ServiceSet

    def __bool__(self) -> bool:
        return bool(self.service) and any(
            self.src.family(family) and self.dst.family(family) for family in Family
        )

    def __and__(self, other: Region) -> Region:
        return Region(self.src & other.src, self.dst & other.dst, self.service & other.service)

    def overlaps(self, other: Region) -> bool:
        """Say whether the regions share a packet; cheaper than computing the intersection."""
        return (
            self.src.overlaps(other.src)
            and self.dst.overlaps(other.dst)
            and self.service.overlaps(other.service)
            and bool(self & other)
        )

    def minus(self, other: Region) -> list[Region]:
        """Return disjoint regions that together are the packets of this one and not of the other."""
        if not self.overlaps(other):
            return [self]
        inside_src = self.src & other.src
        inside_dst = self.dst & other.dst
        pieces = (
            replace(self, src=self.src - other.src),
            Region(inside_src, self.dst - other.dst, self.service),
            Region(inside_src, inside_dst, self.service - other.service),
        )
        return [piece for piece in pieces if piece]

    def witness(self) -> Packet:
        """Return one packet of the region, a familiar one if there is one. The region must not be empty."""
        family = Family.IPV4 if self.src.v4 and self.dst.v4 else Family.IPV6
        src = family.address(self.src.family(family)[0][0])
        dst = family.address(self.dst.family(family)[0][0])
        for protocol in _SHOWN_FIRST:
            part = self.service & ServiceSet.of(protocol, (0 if protocol.is_icmp else 1, HIGHEST_PORT))
            if part:
                _, port, source_port = part.lowest()
                return Packet(src, dst, protocol, port, 0 if protocol.is_icmp else source_port)
        protocol_number, port, source_port = self.service.lowest()
        if protocol_number in _SHOWN_FIRST:
            return Packet(src, dst, protocol_number, port, source_port)
        return Packet(src, dst, protocol_number)


def of_rule(rule: Rule) -> list[Region]:
    """Return the regions a rule matches, one for each of its directions."""
    return [Region(src.addresses, dst.addresses, rule.service.services) for src, dst in rule.directions()]


def uncovered(region: Region, others: Sequence[Region]) -> Iterator[Region]:
    """Yield disjoint regions, together the packets of a region that are in none of the others."""
    pending = [(region, 0)]
    while pending:
        piece, start = pending.pop()
        at = next((i for i in range(start, len(others)) if piece.overlaps(others[i])), None)
        if at is None:
            yield piece
        else:
            pending += [(rest, at + 1) for rest in reversed(piece.minus(others[at]))]
