"""Classes of equivalent values: what no set of a policy tells apart needs to be looked at only once.

A class is a number, a set of classes one whole number whose bit n stands for class n. So two sets meet where
`&` is not 0, and a set lies in another where `& ~` is 0.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from microseg.policy import ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from microseg.policy.ranges import Range, Ranges

Bits: TypeAlias = int
"""A set of classes, or of boxes: bit n stands for the n-th."""

Rank: TypeAlias = tuple[int, ...]
"""What classes are sorted by."""

_WHOLE = -1
"""Stands for the universe among the numbers of the sets."""

_MANY = 1024
"""From this many bits on, searching their text beats shifting the number."""


@dataclass(frozen=True, slots=True)
class Partition:
    """The classes of one kind of number.

    Attributes:
        classes: the numbers of each class; disjoint, together the universe; in the order of their rank.
        sets: the classes of each set, in the order the sets were given.

    """

    classes: tuple[Ranges, ...]
    sets: tuple[Bits, ...]

    @property
    def everything(self) -> Bits:
        """All classes."""
        return (1 << len(self.classes)) - 1

    def numbers(self, bits: Bits) -> Ranges:
        """Return the numbers of a set of classes."""
        return ranges.normalize(each for at in ones(bits) for each in self.classes[at])


def partition(
    sets: Sequence[Ranges], universe: Ranges, rank: Callable[[Ranges], Rank] | None = None
) -> Partition:
    """Cut the universe into as few classes as tell all the sets apart. Numbers outside of it are ignored.

    Args:
        sets: what to tell apart.
        universe: all numbers there are.
        rank: what the classes are to ascend by, instead of their lowest number.

    """
    borders: defaultdict[int, list[int]] = defaultdict(list)
    for at, members in enumerate((universe, *sets), _WHOLE):
        for low, high in members:
            borders[low].append(at)
            borders[high + 1].append(at)
    inside: set[int] = set()
    found: defaultdict[frozenset[int], list[Range]] = defaultdict(list)
    for low, following in pairwise(sorted(borders)):
        inside.symmetric_difference_update(borders[low])
        if _WHOLE in inside:
            found[frozenset(inside)].append((low, following - 1))
    classes = [(signature, tuple(numbers)) for signature, numbers in found.items()]
    if rank:
        classes.sort(key=lambda each: rank(each[1]))
    classes_of: list[list[int]] = [[] for _ in sets]
    for number, (signature, _) in enumerate(classes):
        for at in signature - {_WHOLE}:
            classes_of[at].append(number)
    return Partition(
        tuple(numbers for _, numbers in classes),
        tuple(bits_of(numbers, len(classes)) for numbers in classes_of),
    )


def bits_of(numbers: Iterable[int], width: int) -> Bits:
    """Return the set of these numbers, all below width."""
    octets = bytearray(width // 8 + 1)
    for number in numbers:
        octets[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(octets, "little")


def ones(bits: Bits) -> Iterator[int]:
    """Yield the members of a set, ascending."""
    if bits.bit_length() > _MANY:
        text = bin(bits)[:1:-1]
        at = text.find("1")
        while at >= 0:
            yield at
            at = text.find("1", at + 1)
        return
    at = -1
    while bits:
        step = (bits & -bits).bit_length()
        at += step
        bits >>= step
        yield at


def lowest(bits: Bits) -> int:
    """Return the lowest member of a set, which must not be empty."""
    return (bits & -bits).bit_length() - 1


def union(sets: Iterable[Bits]) -> Bits:
    """Return what is in any of the sets."""
    found = 0
    for bits in sets:
        found |= bits
    return found
