"""Packets to ask a loaded policy about: what its tests speak of, and what a sample of its rules does.

What has to come of each is decided by the reference evaluator, not by what the entries were made with (I4).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from microseg.analysis import decisions, familiar, regions
from microseg.analysis.memory import Memory
from microseg.policy import ranges
from microseg.policy.addresses import ANY_ADDRESS, Family
from microseg.policy.frames import EXTENSIONS
from microseg.policy.packet import Packet
from microseg.policy.services import ANY_SERVICE, HIGHEST_PORT, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from microseg.analysis.regions import Region
    from microseg.policy.evaluate import Decision
    from microseg.policy.rules import Ruleset

MOST = 256
"""Packets in all."""

_EVALUATIONS = 400_000
"""Looks at a rule that all packets together may cost: half a second."""

_FEWEST = 16
_WITH_PORTS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)


@dataclass(frozen=True, slots=True)
class Witness:
    """A packet, and what has to come of it."""

    packet: Packet
    decision: Decision


def witnesses(ruleset: Ruleset, first: Iterable[Packet] = (), memory: Memory | None = None) -> list[Witness]:
    """Return packets with what the evaluator decides about them, each packet once.

    Args:
        ruleset: what is to be judged by.
        first: packets that must be among them.
        memory: of earlier decisions; it makes no difference to the result.

    """
    count = sum(len(policy.rules) for policy in ruleset.policies)
    number = max(_FEWEST, min(MOST, _EVALUATIONS // max(1, count)))
    packets = _first(number, chain(first, _of_tests(ruleset), _of_rules(ruleset, number)))
    found = decisions.of_packets(ruleset, packets, memory or Memory())
    return [Witness(packet, found[packet]) for packet in packets]


def _first(number: int, packets: Iterable[Packet]) -> list[Packet]:
    found: dict[Packet, None] = {}
    for packet in packets:
        found[packet] = None
        if len(found) == number:
            break
    return list(found)


def _of_tests(ruleset: Ruleset) -> Iterator[Packet]:
    for test in ruleset.tests:
        for expectation in test.expectations:
            yield from corners(regions.of_expectation(expectation))


def _of_rules(ruleset: Ruleset, number: int) -> Iterator[Packet]:
    """Yield the corners of everything, then of rules that stand evenly spread over the policy."""
    yield from corners(regions.Region(ANY_ADDRESS, ANY_ADDRESS, ANY_SERVICE))
    ordered = ruleset.ordered()
    for one in ordered[:: max(1, len(ordered) // number)]:
        for region in regions.of_rule(one.rule):
            yield from corners(region)


def corners(region: Region) -> Iterator[Packet]:
    """Yield packets of each family: between readable addresses, and between the highest."""
    if not region:
        return
    target = familiar.target(region.service.targets())
    fitting = [slab for slab in region.service.slabs if ranges.contains(slab.targets, target)]
    ports = ranges.normalize((slab.low, slab.high) for slab in fitting)
    source_port = familiar.source_port(ports) if target >> 16 in _WITH_PORTS else 0
    for family in Family:
        src, dst = region.src.family(family), region.dst.family(family)
        if not (src and dst) or not _fits(family, target >> 16):
            continue
        readable = familiar.address(src, family), familiar.address(dst, family)
        for from_, to in (readable, (src[-1][1], dst[-1][1])):
            ends = family.address(from_), family.address(to)
            yield Packet(*ends, target >> 16, target & HIGHEST_PORT, source_port)


def _fits(family: Family, protocol: int) -> bool:
    """Say whether there are such packets: each family has its own ICMP, and IPv6 its extension headers."""
    if family is Family.IPV4:
        return protocol != Protocol.ICMPV6
    return protocol != Protocol.ICMP and protocol not in EXTENSIONS
