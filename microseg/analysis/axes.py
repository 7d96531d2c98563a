"""The axes of the packet space: addresses of both families, and numbers such as ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.analysis.classes import partition
from microseg.policy.addresses import ANY_ADDRESS, AddressSet, Family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from microseg.analysis.classes import Bits, Rank
    from microseg.policy.ranges import Ranges


class AddressAxis:
    """The classes of addresses, as far as the given sets tell them apart; those of IPv4 first."""

    def __init__(self, sets: Iterable[AddressSet]) -> None:
        # By identity first: hashing a long list of addresses for every rule that names it would take time.
        known = {id(addresses): addresses for addresses in sets}
        index = {addresses: at for at, addresses in enumerate(dict.fromkeys(known.values()))}
        self._parts = {
            family: partition([addresses.family(family) for addresses in index], ANY_ADDRESS.family(family))
            for family in Family
        }
        self._shift = {Family.IPV4: 0, Family.IPV6: len(self._parts[Family.IPV4].classes)}
        self._known = known
        self._bits = {key: self._of_set(index[addresses]) for key, addresses in known.items()}
        self._addresses: dict[Bits, AddressSet] = {}
        self.width = sum(len(part.classes) for part in self._parts.values())

    def bits(self, addresses: AddressSet) -> dict[Family, Bits]:
        """Return the classes of one of the given sets (the same object), by family."""
        assert id(addresses) in self._known, "an axis knows only the sets it was made of"
        return self._bits[id(addresses)]

    def everything(self, family: Family) -> Bits:
        """Return all classes of a family."""
        return self._parts[family].everything << self._shift[family]

    def addresses(self, bits: Bits) -> AddressSet:
        """Return the addresses of a set of classes; most sets are asked for many times."""
        if bits not in self._addresses:
            shift = self._shift[Family.IPV6]
            v4 = self._parts[Family.IPV4].numbers(bits & ((1 << shift) - 1))
            self._addresses[bits] = AddressSet(v4, self._parts[Family.IPV6].numbers(bits >> shift))
        return self._addresses[bits]

    def _of_set(self, at: int) -> dict[Family, Bits]:
        return {family: part.sets[at] << self._shift[family] for family, part in self._parts.items()}


class NumberAxis:
    """The classes of numbers from one universe, in the order of their rank."""

    def __init__(self, sets: Iterable[Ranges], universe: Ranges, rank: Callable[[Ranges], Rank]) -> None:
        index = {numbers: at for at, numbers in enumerate(dict.fromkeys(sets))}
        self._part = partition(list(index), universe, rank)
        self._bits = {numbers: self._part.sets[at] for numbers, at in index.items()}
        self.width = len(self._part.classes)

    @property
    def everything(self) -> Bits:
        """All classes."""
        return self._part.everything

    def bits(self, numbers: Ranges) -> Bits:
        """Return the classes of one of the given sets."""
        return self._bits[numbers]

    def numbers(self, bits: Bits) -> Ranges:
        """Return the numbers of a set of classes."""
        return self._part.numbers(bits)
