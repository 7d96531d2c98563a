"""Regions of the packet space: products of a source set, a destination set and a service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.policy.addresses import AddressSet, Family

if TYPE_CHECKING:
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Expectation, Rule
    from microseg.policy.services import ServiceSet


@dataclass(frozen=True, slots=True)
class Region:
    """All packets from src to dst of the service; both ends of a packet are of one family."""

    src: AddressSet
    dst: AddressSet
    service: ServiceSet

    def __bool__(self) -> bool:
        return bool(self.service) and any(
            self.src.family(family) and self.dst.family(family) for family in Family
        )

    def __contains__(self, packet: Packet) -> bool:
        return (
            packet.src in self.src
            and packet.dst in self.dst
            and self.service.contains(packet.protocol, packet.port, packet.source_port)
        )


def of_rule(rule: Rule) -> list[Region]:
    """Return the regions a rule matches, one for each of its directions."""
    return [Region(src.addresses, dst.addresses, rule.service.services) for src, dst in rule.directions()]


def of_expectation(expectation: Expectation) -> Region:
    """Return the packets an expectation speaks of."""
    return Region(expectation.src.addresses, expectation.dst.addresses, expectation.service.services)
