"""From sets to prefixes: which members contain each block of a longest-prefix-match table.

A longest-prefix-match lookup finds one block only, so each block's list names also what the wider blocks
around it name.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from operator import or_
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from microseg import tables
from microseg.compiler.image import Prefix, ServiceElement
from microseg.compiler.precedence import meets
from microseg.memo import Last, Translation
from microseg.policy import ranges
from microseg.policy.addresses import Family
from microseg.policy.services import ALL_PORTS, HIGHEST_PORT
from microseg.tables import Table, Union

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from microseg.compiler.precedence import Meets
    from microseg.policy.addresses import AddressSet
    from microseg.policy.ranges import Range, Ranges
    from microseg.policy.services import ServiceSet

Member = TypeVar("Member", int, ServiceElement)
Value = TypeVar("Value")

TARGET_BITS = 24
"""Width of protocol << 16 | port."""

FEW = 8
"""Of so many wide blocks it is looked for what is inside them; with more, a table is worked out at once."""


def inherit(blocks: Mapping[Prefix, frozenset[Member]], bits: int) -> dict[Prefix, frozenset[Member]]:
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


def of_ranges(sets: Iterable[tuple[int, Ranges]], bits: int) -> Mapping[Prefix, tuple[int, ...]]:
    """Return block -> ids of all sets that contain it, ascending, for the blocks of all sets."""
    found: Nested[int] = Nested(bits)
    return found.of([standing(blocks(numbers, bits), set_id) for set_id, numbers in sets])


def standing(where: Iterable[Prefix], member: Member) -> dict[Prefix, frozenset[Member]]:
    """Return a member as what stands in each of some blocks."""
    return dict.fromkeys(where, frozenset((member,)))


def blocks(numbers: Ranges, bits: int) -> tuple[Prefix, ...]:
    """Return the blocks of a set of bits-wide numbers."""
    return tuple(Prefix(number, prefix_bits) for number, prefix_bits in ranges.prefixes(numbers, bits))


class Nested(Generic[Member]):
    """A table of blocks, each with the members of all blocks around it, that is worked out again and again.

    Args:
        bits: width of the numbers.

    """

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._own: Union[Prefix, frozenset[Member]] = Union(or_)
        self._last: Table[Prefix, frozenset[Member]] = Table()
        self._table: Table[Prefix, tuple[Member, ...]] = Table()

    def of(self, parts: Sequence[Mapping[Prefix, frozenset[Member]]]) -> Table[Prefix, tuple[Member, ...]]:
        """Return block -> members, ascending, given who stands in which blocks."""
        own = self._own.of(parts)
        touched = own.touched_since(self._last)
        self._last = own
        wide = [block for block in touched or () if block.bits < self._bits]
        if touched is None or len(wide) > FEW or tables.MANY * len(touched) > len(own):
            complete = inherit(own, self._bits)
            self._table = Table((block, tuple(sorted(each))) for block, each in complete.items())
        else:
            self._replace(touched, wide)
        return self._table

    def _replace(self, touched: set[Prefix], wide: Collection[Prefix]) -> None:
        """Work out again what stands in some blocks, and in those inside the wide ones among them."""
        inside = {
            block for block in self._last if wide and any(_contains(each, block, self._bits) for each in wide)
        }
        written = {block: self._around(block) for block in (touched & self._last.keys()) | inside}
        changed = {block: each for block, each in written.items() if self._table.get(block) != each}
        self._table = self._table.changed(changed, touched - self._last.keys())

    def _around(self, block: Prefix) -> tuple[Member, ...]:
        blocks = (
            Prefix(block.number >> self._bits - bits << self._bits - bits, bits)
            for bits in range(block.bits + 1)
        )
        return tuple(sorted(frozenset().union(*(self._last.get(each, ()) for each in blocks))))


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


class SetTables(NamedTuple):
    """Which sets contain each block of addresses, and which sets have an address in common."""

    ipv4: Mapping[Prefix, tuple[int, ...]]
    ipv6: Mapping[Prefix, tuple[int, ...]]
    together: Meets


class Sets:
    """The tables of sets, which are worked out again and again."""

    def __init__(self) -> None:
        self._last: Last[Mapping[int, AddressSet], SetTables] = Last()
        self._standing: Translation[int, AddressSet, dict[Family, Mapping[Prefix, frozenset[int]]]]
        self._standing = Translation()
        self._tables: dict[Family, Nested[int]] = {family: Nested(family.bits) for family in Family}

    def of(self, sets: Mapping[int, AddressSet]) -> SetTables:
        """Return the tables of sets by their ids."""
        return self._last.of(partial(self._make, sets), sets)

    def _make(self, sets: Mapping[int, AddressSet], before: SetTables | None) -> SetTables:
        del before
        standing_there = self._standing.of(sets, _standing_addresses).values()
        ipv4, ipv6 = (
            table.of([each[family] for each in standing_there]) for family, table in self._tables.items()
        )
        return SetTables(ipv4, ipv6, meets((*ipv4.values(), *ipv6.values())))


def _standing_addresses(set_id: int, addresses: AddressSet) -> dict[Family, Mapping[Prefix, frozenset[int]]]:
    return {family: standing(blocks(addresses.family(family), family.bits), set_id) for family in Family}


class ServiceTables(NamedTuple):
    """Which services stand over each block of ports, and which have a target in common."""

    by_destination: Mapping[Prefix, tuple[ServiceElement, ...]]
    by_source: Mapping[Prefix, tuple[ServiceElement, ...]]
    together: Meets


class Placed(NamedTuple):
    """Where a service stands: by destination port, by source port, and in all that has its targets."""

    by_destination: Mapping[Prefix, frozenset[ServiceElement]]
    by_source: Mapping[Prefix, frozenset[ServiceElement]]
    targets: Mapping[Prefix, frozenset[int]]


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
    in_targets = standing(blocks(service.targets(), TARGET_BITS), service_id)
    return Placed(_gathered(by_destination), _gathered(by_source), in_targets)


class Services:
    """The tables of services, which are worked out again and again."""

    def __init__(self) -> None:
        self._by_destination: Nested[ServiceElement] = Nested(TARGET_BITS)
        self._by_source: Nested[ServiceElement] = Nested(TARGET_BITS)
        self._targets: Nested[int] = Nested(TARGET_BITS)
        self._placed: Translation[int, ServiceSet, Placed] = Translation()
        self._last: Last[Mapping[int, ServiceSet], ServiceTables] = Last()

    def of(self, services: Mapping[int, ServiceSet]) -> ServiceTables:
        """Return the tables of services by their ids."""
        return self._last.of(partial(self._make, services), services)

    def _make(self, services: Mapping[int, ServiceSet], before: ServiceTables | None) -> ServiceTables:
        del before
        placed = self._placed.of(services, place).values()
        return ServiceTables(
            self._by_destination.of([each.by_destination for each in placed]),
            self._by_source.of([each.by_source for each in placed]),
            meets(self._targets.of([each.targets for each in placed]).values()),
        )


def _gathered(found: Iterable[tuple[Prefix, ServiceElement]]) -> dict[Prefix, frozenset[ServiceElement]]:
    gathered: dict[Prefix, frozenset[ServiceElement]] = {}
    for block, element in found:
        gathered[block] = gathered.get(block, frozenset()) | {element}
    return gathered


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
