"""Sets of IPv4 and IPv6 addresses with exact algebra."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from microseg.policy import ranges
from microseg.policy.ranges import EMPTY, Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Family(Enum):
    """An address family; the value is the IP version."""

    IPV4 = 4
    IPV6 = 6

    @property
    def bits(self) -> int:
        """Width of an address in bits."""
        return 32 if self is Family.IPV4 else 128

    @property
    def highest(self) -> int:
        """The highest address as a number."""
        return (1 << self.bits) - 1

    def address(self, number: int) -> IPAddress:
        """Return the address with this number (host order)."""
        return ipaddress.IPv4Address(number) if self is Family.IPV4 else ipaddress.IPv6Address(number)

    def network(self, number: int, prefix_bits: int) -> IPNetwork:
        """Return the network with this first address and prefix length."""
        if self is Family.IPV4:
            return ipaddress.IPv4Network((number, prefix_bits))
        return ipaddress.IPv6Network((number, prefix_bits))


@dataclass(frozen=True, slots=True)
class AddressSet:
    """A set of addresses of both families. Canonical: equal sets compare equal.

    Attributes:
        v4: IPv4 addresses as numbers in host order, 0 .. 2**32 - 1.
        v6: IPv6 addresses as numbers in host order, 0 .. 2**128 - 1.

    """

    v4: Ranges = EMPTY
    v6: Ranges = EMPTY

    @classmethod
    def of(cls, *texts: str) -> AddressSet:
        """Return the union of addresses and CIDRs given as text; raises ValueError for anything else."""
        result = NO_ADDRESSES
        for text in texts:
            net = ipaddress.ip_network(text)
            result |= cls.between(net.network_address, net.broadcast_address)
        return result

    @classmethod
    def between(cls, first: IPAddress, last: IPAddress) -> AddressSet:
        """Return all addresses from first to last, both included and of one family."""
        span = ((int(first), int(last)),)
        return cls(v4=span) if first.version == 4 else cls(v6=span)

    def family(self, family: Family) -> Ranges:
        """Return the ranges of one family."""
        return self.v4 if family is Family.IPV4 else self.v6

    def __or__(self, other: AddressSet) -> AddressSet:
        return AddressSet(ranges.union(self.v4, other.v4), ranges.union(self.v6, other.v6))

    def __and__(self, other: AddressSet) -> AddressSet:
        return AddressSet(ranges.intersection(self.v4, other.v4), ranges.intersection(self.v6, other.v6))

    def __sub__(self, other: AddressSet) -> AddressSet:
        return AddressSet(ranges.difference(self.v4, other.v4), ranges.difference(self.v6, other.v6))

    def __invert__(self) -> AddressSet:
        return ANY_ADDRESS - self

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6)

    def __contains__(self, address: IPAddress) -> bool:
        return ranges.contains(self.v4 if address.version == 4 else self.v6, int(address))

    def __le__(self, other: AddressSet) -> bool:
        return ranges.covers(other.v4, self.v4) and ranges.covers(other.v6, self.v6)

    def overlaps(self, other: AddressSet) -> bool:
        """Say whether the sets share an address."""
        return ranges.overlap(self.v4, other.v4) or ranges.overlap(self.v6, other.v6)

    def size(self) -> int:
        """Return how many addresses the set has, both families together."""
        return ranges.size(self.v4) + ranges.size(self.v6)

    def networks(self) -> Iterator[IPNetwork]:
        """Yield the fewest networks that together are the set, IPv4 first, ascending."""
        for family in Family:
            for number, prefix_bits in ranges.prefixes(self.family(family), family.bits):
                yield family.network(number, prefix_bits)

    def lowest(self) -> IPAddress:
        """Return the lowest address, IPv4 before IPv6. The set must not be empty."""
        family = Family.IPV4 if self.v4 else Family.IPV6
        return family.address(self.family(family)[0][0])


def union(sets: Iterable[AddressSet]) -> AddressSet:
    """Return the union of any number of sets; one after the other would take the square of their number."""
    found = list(sets)
    return AddressSet(ranges.union(*(each.v4 for each in found)), ranges.union(*(each.v6 for each in found)))


NO_ADDRESSES = AddressSet()
ANY_IPV4 = AddressSet(v4=((0, Family.IPV4.highest),))
ANY_IPV6 = AddressSet(v6=((0, Family.IPV6.highest),))
ANY_ADDRESS = ANY_IPV4 | ANY_IPV6
