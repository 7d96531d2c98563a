"""From sets to prefixes: which members contain each block of a longest-prefix-match table.

A longest-prefix-match lookup finds one block only, so each block's list names also what the wider blocks
around it name.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from microseg.compiler.image import Prefix, ServiceElement
from microseg.compiler.precedence import meets
from microseg.policy import ranges
from microseg.policy.services import ALL_PORTS, HIGHEST_PORT

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    from microseg.compiler.precedence import Meets
    from microseg.policy.ranges import Range, Ranges
    from microseg.policy.services import ServiceSet

    Member = TypeVar("Member", bound=Hashable)
    Value = TypeVar("Value")

TARGET_BITS = 24
"""Width of protocol << 16 | port."""


def inherit(blocks: Mapping[Prefix, set[Member]], bits: int) -> dict[Prefix, frozenset[Member]]:
    """Add to the members of each block those of all blocks that contain it.

    Args:
        blocks: members of each block of a bits-wide number.
        bits: width of the number.

    """
    complete: dict[Prefix, frozenset[Member]] = {}
    around: list[Prefix] = []
    for block in sorted(blocks):
        while around and not _contains(around[-1], block, bits):
            around.pop()
        inherited = complete[around[-1]] if around else frozenset()
        complete[block] = inherited | blocks[block]
        around.append(block)
    return complete


def of_ranges(sets: Iterable[tuple[int, Ranges]], bits: int) -> dict[Prefix, tuple[int, ...]]:
    """Return block -> ids of all sets that contain it, ascending, for the blocks of all sets."""
    return of_blocks(((set_id, blocks(numbers, bits)) for set_id, numbers in sets), bits, {})


def blocks(numbers: Ranges, bits: int) -> tuple[Prefix, ...]:
    """Return the blocks of a set of bits-wide numbers."""
    return tuple(Prefix(number, prefix_bits) for number, prefix_bits in ranges.prefixes(numbers, bits))


def of_blocks(
    sets: Iterable[tuple[int, Iterable[Prefix]]], bits: int, before: Mapping[Prefix, tuple[int, ...]]
) -> dict[Prefix, tuple[int, ...]]:
    """Return block -> ids of all sets that contain it; a list that is as before is the same object."""
    found: defaultdict[Prefix, set[int]] = defaultdict(set)
    for set_id, of_set in sets:
        for block in of_set:
            found[block].add(set_id)
    return {
        block: _as_before(tuple(sorted(ids)), before.get(block))
        for block, ids in inherit(found, bits).items()
    }


def _as_before(found: Value, before: Value | None) -> Value:
    return before if before is not None and before == found else found


def pieces(table: Mapping[Prefix, Value], bits: int) -> Iterator[tuple[Range, Value]]:
    """Yield disjoint ranges, ascending, each with the value of the longest prefix around it."""
    around: list[tuple[int, Value]] = []
    at = 0
    for block in sorted(table):
        while around and around[-1][0] < block.number:
            last, value = around.pop()
            if at <= last:
                yield (at, last), value
            at = max(at, last + 1)
        if around and at < block.number:
            yield (at, block.number - 1), around[-1][1]
        at = block.number
        around.append((block.number + (1 << bits - block.bits) - 1, table[block]))
    while around:
        last, value = around.pop()
        if at <= last:
            yield (at, last), value
        at = max(at, last + 1)


ServiceBlocks = dict[Prefix, tuple[ServiceElement, ...]]


class ServiceTables(NamedTuple):
    """Which services stand over each block of ports, and which have a target in common."""

    by_destination: ServiceBlocks
    by_source: ServiceBlocks
    together: Meets


class Placed(NamedTuple):
    """Where a service stands: blocks by destination port, by source port, and all that have its targets."""

    by_destination: tuple[tuple[Prefix, ServiceElement], ...]
    by_source: tuple[tuple[Prefix, ServiceElement], ...]
    targets: tuple[Prefix, ...]


def place(service_id: int, service: ServiceSet) -> Placed:
    """Return where a service stands.

    Each rectangle of destination and source ports goes where its own side is the narrower, so that few
    elements stand over one port; without a condition on the source port that is the destination side.
    """
    by_destination: list[tuple[Prefix, ServiceElement]] = []
    by_source: list[tuple[Prefix, ServiceElement]] = []
    for targets, source_ports in _rectangles(service):
        if source_ports == (ALL_PORTS,):
            by_destination += _at(targets, ServiceElement(service_id, *ALL_PORTS))
            continue
        for protocol, ports in _by_protocol(targets):
            for source in source_ports:
                if ports[1] - ports[0] <= source[1] - source[0]:
                    by_destination += _at(_on(protocol, ports), ServiceElement(service_id, *source))
                else:
                    by_source += _at(_on(protocol, source), ServiceElement(service_id, *ports))
    return Placed(tuple(by_destination), tuple(by_source), blocks(service.targets(), TARGET_BITS))


def of_services(placed: Mapping[int, Placed], before: ServiceTables | None = None) -> ServiceTables:
    """Return the tables of services by their ids; a list that is as before is the same object."""
    by_destination: defaultdict[Prefix, set[ServiceElement]] = defaultdict(set)
    by_source: defaultdict[Prefix, set[ServiceElement]] = defaultdict(set)
    for each in placed.values():
        for block, element in each.by_destination:
            by_destination[block].add(element)
        for block, element in each.by_source:
            by_source[block].add(element)
    together = of_blocks(((service_id, each.targets) for service_id, each in placed.items()), TARGET_BITS, {})
    return ServiceTables(
        _listed(by_destination, before.by_destination if before else {}),
        _listed(by_source, before.by_source if before else {}),
        meets(together.values()),
    )


def _contains(outer: Prefix, inner: Prefix, bits: int) -> bool:
    shift = bits - outer.bits
    return outer.bits <= inner.bits and outer.number >> shift == inner.number >> shift


def _rectangles(service: ServiceSet) -> list[tuple[Range, Ranges]]:
    """Return the service as ranges of targets, each with its source ports; neighbours that agree are one."""
    edges = sorted({edge for slab in service.slabs for low, high in slab.targets for edge in (low, high + 1)})
    found: list[tuple[Range, Ranges]] = []
    for low, following in pairwise(edges):
        source_ports = ranges.normalize(
            (slab.low, slab.high) for slab in service.slabs if ranges.contains(slab.targets, low)
        )
        if not source_ports:
            continue
        if found and found[-1][0][1] + 1 == low and found[-1][1] == source_ports:
            found[-1] = ((found[-1][0][0], following - 1), source_ports)
        else:
            found.append(((low, following - 1), source_ports))
    return found


def _by_protocol(targets: Range) -> list[tuple[int, Range]]:
    """Cut a range of targets at the borders between protocols."""
    low, high = targets
    return [
        (protocol, (max(low - (protocol << 16), 0), min(high - (protocol << 16), HIGHEST_PORT)))
        for protocol in range(low >> 16, (high >> 16) + 1)
    ]


def _on(protocol: int, ports: Range) -> Range:
    return protocol << 16 | ports[0], protocol << 16 | ports[1]


def _at(where: Range, element: ServiceElement) -> Iterator[tuple[Prefix, ServiceElement]]:
    for number, prefix_bits in ranges.prefixes((where,), TARGET_BITS):
        yield Prefix(number, prefix_bits), element


def _listed(blocks: Mapping[Prefix, set[ServiceElement]], before: ServiceBlocks) -> ServiceBlocks:
    return {
        block: _as_before(tuple(sorted(elements)), before.get(block))
        for block, elements in inherit(blocks, TARGET_BITS).items()
    }
