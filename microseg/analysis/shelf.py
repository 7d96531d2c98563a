"""Named sets of addresses, found by what they contain and by what contains them.

A policy of thousands of groups asks for the sets inside or around another very many times, so most of them
must not even be looked at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from heapq import heappop, heappush
from typing import TYPE_CHECKING, TypeAlias

from microseg.policy.addresses import AddressSet, Family

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from microseg.policy.ranges import Ranges

Families: TypeAlias = tuple[Family, ...]

_SHIFT = 1 << (Family.IPV4.bits + 1)
"""Where IPv6 begins, when both families are put on one line: not adjacent to IPv4."""


def only(addresses: AddressSet, families: Families) -> AddressSet:
    """Return the addresses of some families."""
    return AddressSet(
        addresses.v4 if Family.IPV4 in families else (), addresses.v6 if Family.IPV6 in families else ()
    )


class Shelf:
    """Some named sets. Only the addresses of the families (at least one) that are asked for matter."""

    def __init__(self, sets: Mapping[str, AddressSet]) -> None:
        self._sets = sets
        self._by_families: dict[Families, _Sorted] = {}

    def inside(self, wanted: AddressSet, families: Families) -> Inside:
        """Return the sets that lie within another and can be taken from it without leaving only holes."""
        return Inside(self._of(families), wanted)

    def around(self, wanted: AddressSet, families: Families) -> Iterator[tuple[str, AddressSet]]:
        """Yield the sets that another, not empty, lies within, the smallest first."""
        candidates = self._of(families).holding(wanted)
        return ((name, part) for name, part in candidates if wanted <= part)

    def _of(self, families: Families) -> _Sorted:
        if families not in self._by_families:
            parts = ((name, only(addresses, families)) for name, addresses in self._sets.items())
            self._by_families[families] = _Sorted(parts)
        return self._by_families[families]


class _Sorted:
    """Parts of the named sets, those that aren't empty, the largest first."""

    def __init__(self, parts: Iterable[tuple[str, AddressSet]]) -> None:
        filled = sorted(
            ((part.size(), name, part) for name, part in parts if part), key=lambda each: -each[0]
        )
        self.parts = [(name, part) for _, name, part in filled]
        self._ascending = [(size, name) for size, name, _ in filled]
        self._borders: list[int] = []
        self._holding: list[tuple[int, ...]] = []
        self._cut()

    def at(self, number: int) -> tuple[int, ...]:
        """Return the places of the parts that have an address."""
        at = bisect_right(self._borders, number) - 1
        return self._holding[at] if at >= 0 else ()

    def holding(self, wanted: AddressSet) -> Iterator[tuple[str, AddressSet]]:
        """Yield the parts that have the lowest address of a set, the smallest first."""
        found = sorted(self.at(_line(wanted)[0][0]), key=self._ascending.__getitem__)
        return (self.parts[each] for each in found)

    def _cut(self) -> None:
        """Cut all addresses where a part begins or ends, and note the parts of each stretch."""
        borders: defaultdict[int, list[int]] = defaultdict(list)
        for at, (_, part) in enumerate(self.parts):
            for low, high in _line(part):
                borders[low].append(at)
                borders[high + 1].append(at)
        inside: set[int] = set()
        for border, changed in sorted(borders.items()):
            inside.symmetric_difference_update(changed)
            self._borders.append(border)
            self._holding.append(tuple(inside))


class Inside:
    """Iterates over the parts that lie within a set and have an end of what is left of it, the largest first.

    To take any other part away would only make holes.
    """

    def __init__(self, order: _Sorted, wanted: AddressSet) -> None:
        self._order = order
        self._wanted = wanted
        self._next: list[int] = []
        self._seen: set[int] = set()
        self._last = -1
        for low, high in _line(wanted):
            self._reach(low)
            self._reach(high)

    def __iter__(self) -> Iterator[tuple[str, AddressSet]]:
        while self._next:
            self._last = heappop(self._next)
            name, part = self._order.parts[self._last]
            if part <= self._wanted:
                yield name, part

    def went(self, part: AddressSet) -> None:
        """Note that the part yielded last was taken away: what is around it are ends now."""
        for low, high in _line(part):
            self._reach(low - 1)
            self._reach(high + 1)

    def _reach(self, number: int) -> None:
        """Add the parts with an address, of those that haven't had their turn."""
        for at in self._order.at(number):
            if at > self._last and at not in self._seen:
                self._seen.add(at)
                heappush(self._next, at)


def _line(addresses: AddressSet) -> Ranges:
    """Return both families on one line, IPv4 first."""
    return addresses.v4 + tuple((low + _SHIFT, high + _SHIFT) for low, high in addresses.v6)
