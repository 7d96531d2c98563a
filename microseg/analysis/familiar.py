"""The most readable member of a set: a witness is to be understood at a glance."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from typing import TYPE_CHECKING

from microseg.policy import ranges
from microseg.policy.addresses import Family
from microseg.policy.services import HIGHEST_PORT, Protocol

if TYPE_CHECKING:
    from microseg.analysis.classes import Rank
    from microseg.policy.ranges import Ranges

_SHOWN_FIRST = (Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP, Protocol.ICMPV6)
_EPHEMERAL: Ranges = ((0xC000, HIGHEST_PORT),)
"""Ports that clients use (RFC 6335 section 6)."""

_SOMEBODY = {
    Family.IPV4: int(ipaddress.IPv4Address("203.0.113.1")),
    Family.IPV6: int(ipaddress.IPv6Address("2001:db8::1")),
}
"""Somebody out there: an address for documentation (RFC 5737, RFC 3849)."""

_LARGE_BITS = {Family.IPV4: 24, Family.IPV6: 64}
"""A set of 2**n addresses and more is not about its lowest address."""


def address(numbers: Ranges, family: Family) -> int:
    """Return an address of a set: its lowest, unless the set is most of the world."""
    somebody = _SOMEBODY[family]
    if ranges.size(numbers) >> _LARGE_BITS[family] and ranges.contains(numbers, somebody):
        return somebody
    first, last = numbers[0]
    looks_like_a_network = not first & 0xFF
    return first + 1 if looks_like_a_network and first < last else first


def target(targets: Ranges) -> int:
    """Return a target of a set: of TCP or another well-known protocol, the lowest port that isn't 0."""
    for protocol in _SHOWN_FIRST:
        first = protocol << 16 | (0 if protocol.is_icmp else 1)
        lowest = _lowest_within(targets, first, protocol << 16 | HIGHEST_PORT)
        if lowest is not None:
            return lowest
    return min((low for low, _ in targets), key=target_rank)


def target_rank(number: int) -> Rank:
    """Return what targets ascend by when the most familiar comes first."""
    protocol = number >> 16
    place = _SHOWN_FIRST.index(Protocol(protocol)) if protocol in _SHOWN_FIRST else len(_SHOWN_FIRST)
    is_icmp = protocol in (Protocol.ICMP, Protocol.ICMPV6)
    return place, not is_icmp and not number & HIGHEST_PORT, number


def source_port(ports: Ranges) -> int:
    """Return a source port of a set: one that clients use if there is one, else the lowest."""
    return (ranges.intersection(ports, _EPHEMERAL) or ports)[0][0]


def source_port_rank(ports: Ranges) -> Rank:
    """Return what sets of source ports ascend by when those that clients use come first."""
    chosen = source_port(ports)
    return chosen < _EPHEMERAL[0][0], chosen


def _lowest_within(numbers: Ranges, first: int, last: int) -> int | None:
    """Return the lowest member of a set from first to last, or None."""
    at = bisect_right(numbers, (first, last))
    if at and numbers[at - 1][1] >= first:
        return first
    return numbers[at][0] if at < len(numbers) and numbers[at][0] <= last else None
