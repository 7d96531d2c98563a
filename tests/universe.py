"""A small universe of packets, each a bit of a whole number, to compare an analysis with all there are.

The rulesets of `random_rulesets` tell no packets apart that aren't apart in it: it has all addresses they can
name and one of each family that stands for all others, and so for ports and protocols.
"""

from __future__ import annotations

import ipaddress
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

from microseg.analysis import regions
from microseg.analysis.book import Outcome
from microseg.policy.addresses import AddressSet, Family, IPAddress
from microseg.policy.packet import Packet
from microseg.policy.services import ServiceSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from microseg.analysis.regions import Region
    from microseg.policy.rules import Decider, Rule, Ruleset

Packets: TypeAlias = int
"""A set of packets of a universe, bit by bit."""

V4_BASE = ipaddress.IPv4Address("10.1.0.64")
V6_BASE = ipaddress.IPv6Address("2001:db8:1::8")
V4_OUTSIDE = ipaddress.IPv4Address("192.0.2.7")
V6_OUTSIDE = ipaddress.IPv6Address("fe80::7")

TCP, UDP, SCTP, ICMP, GRE, OTHER = 6, 17, 132, 1, 47, 99
SERVICES = (
    *product((TCP,), (22, 80, 100, 443, 9999), (67, 1000)),
    (UDP, 80, 67),
    (UDP, 80, 1000),
    (UDP, 9999, 67),
    (UDP, 9999, 1000),
    (SCTP, 9999, 67),
    (SCTP, 9999, 1000),
    (ICMP, 8 << 8, 0),
    (ICMP, 3 << 8 | 4, 0),
    (ICMP, 3 << 8, 0),
    (GRE, 0, 0),
    (OTHER, 0, 0),
)
"""(protocol, port, source port); 100, 9999 and 1000 stand for the ports that no service names alone."""


class Universe:
    """All packets between some addresses of each family, of some services.

    Attributes:
        packets: bit n of a set of packets stands for the n-th.
        everything: all of them, as a set.

    """

    def __init__(self, v4: Sequence[IPAddress], v6: Sequence[IPAddress]) -> None:
        self._hosts = {Family.IPV4: tuple(v4), Family.IPV6: tuple(v6)}
        self.packets = [
            Packet(src, dst, protocol, port, source_port)
            for hosts in self._hosts.values()
            for src, dst in product(hosts, repeat=2)
            for protocol, port, source_port in SERVICES
        ]
        self.everything = (1 << len(self.packets)) - 1
        self._spread: dict[tuple[int, int, AddressSet], int] = {}
        self._rules: dict[int, tuple[Rule, Packets]] = {}
        self._members: dict[ServiceSet, int] = {}

    def region(self, region: Region) -> Packets:
        """Return the packets of a region."""
        service = self._service(region.service)
        found, shift = 0, 0
        for family, hosts in self._hosts.items():
            width = len(SERVICES)
            dst = self._spaced(family, region.dst, width)
            src = self._spaced(family, region.src, width * len(hosts))
            found |= src * (dst * service) << shift
            shift += len(hosts) ** 2 * width
        return found

    def rule(self, rule: Rule) -> Packets:
        """Return the packets a rule matches."""
        if id(rule) not in self._rules:
            found = 0
            for region in regions.of_rule(rule):
                found |= self.region(region)
            self._rules[id(rule)] = rule, found
        return self._rules[id(rule)][1]

    def deciders(self, ruleset: Ruleset) -> Iterator[tuple[Decider, Packets]]:
        """Yield each rule with the packets it decides, perhaps none, and the default with the rest."""
        undecided = self.everything
        for ordered in ruleset.ordered():
            matched = self.rule(ordered.rule)
            yield ordered, undecided & matched
            undecided &= ~matched
        yield ruleset.default, undecided

    def outcomes(self, ruleset: Ruleset) -> dict[Outcome, Packets]:
        """Return the packets with each outcome there is."""
        found: dict[Outcome, Packets] = {}
        for decider, packets in self.deciders(ruleset):
            if packets:
                outcome = Outcome.of(decider, ruleset)
                found[outcome] = found.get(outcome, 0) | packets
        return found

    def packets_of(self, packets: Packets) -> Iterator[Packet]:
        """Yield the members of a set."""
        for at, packet in enumerate(self.packets):
            if packets >> at & 1:
                yield packet

    def of_packets(self, packets: Iterable[Packet]) -> Packets:
        """Return the set of some packets of the universe."""
        wanted = set(packets)
        return sum(1 << at for at, packet in enumerate(self.packets) if packet in wanted)

    def _service(self, service: ServiceSet) -> int:
        if service not in self._members:
            self._members[service] = sum(
                1 << at for at, fields in enumerate(SERVICES) if service.contains(*fields)
            )
        return self._members[service]

    def _spaced(self, family: Family, addresses: AddressSet, width: int) -> int:
        """Return the hosts that are in the set, each a bit, the bits `width` apart."""
        key = family.value, width, addresses
        if key not in self._spread:
            self._spread[key] = sum(
                1 << at * width for at, host in enumerate(self._hosts[family]) if host in addresses
            )
        return self._spread[key]


def small(v4_bits: int = 6, v6_bits: int = 2) -> Universe:
    """Return the universe of addresses of so many bits, and one outside of each family."""
    return Universe(
        [*(V4_BASE + i for i in range(1 << v4_bits)), V4_OUTSIDE],
        [*(V6_BASE + i for i in range(1 << v6_bits)), V6_OUTSIDE],
    )
