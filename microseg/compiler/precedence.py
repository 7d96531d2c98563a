"""Precedence numbers: of two rules that can match one packet, the earlier gets the lower number.

A rule's number is one more than the highest among the earlier rules it overlaps, so rules that never meet
share numbers, and a new rule renumbers only the later ones that overlap it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

Meets: TypeAlias = "Mapping[int, Collection[int]]"
"""Which ids overlap each; those that aren't in it overlap only themselves."""

FEW = 64
"""Below this many overlapping rules, looking each one up beats searching by level."""


class Leg(NamedTuple):
    """One direction of a rule, by the ids of its sets and its service."""

    src_set: int
    dst_set: int
    service: int


def of_legs(
    legs: Sequence[Leg],
    addresses: Meets,
    services: Meets,
    known: Sequence[int] = (),
) -> list[int]:
    """Return the precedence of each leg, from 1.

    Args:
        legs: in the order of evaluation.
        addresses: which sets overlap.
        services: which services do; those told apart by source port only may be said to, which costs a
            number and changes no verdict.
        known: the precedences of the first legs.

    """
    overlapping_src = overlapping([(leg.src_set,) for leg in legs], addresses)
    overlapping_dst = overlapping([(leg.dst_set,) for leg in legs], addresses)
    overlapping_service = overlapping([(leg.service,) for leg in legs], services)
    numbers: list[int] = []
    levels: list[int] = []
    for at, leg in enumerate(legs):
        if at < len(known):
            number = known[at]
        else:
            earlier = (
                overlapping_src[leg.src_set]
                & overlapping_dst[leg.dst_set]
                & overlapping_service[leg.service]
                & ((1 << at) - 1)
            )
            number = 1 + _highest(earlier, numbers, levels)
        numbers.append(number)
        levels += [0] * (number - len(levels))
        levels[number - 1] |= 1 << at
    return numbers


def meets(lists: Iterable[tuple[int, ...]]) -> Meets:
    """Return which ids share a list with each that shares one with others.

    Args:
        lists: for every class of addresses, or of packets, the ids of all that contain it: two of them
            overlap exactly when some list has both.

    """
    found: defaultdict[int, set[int]] = defaultdict(set)
    for ids in {each for each in lists if len(each) > 1}:
        for member in ids:
            found[member].update(ids)
    return found


def overlapping(owners: Sequence[Collection[int]], meeting: Meets) -> dict[int, int]:
    """Return, for each id, the owners (as bits) of it and of those that it overlaps."""
    own: dict[int, int] = {}
    for at, members in enumerate(owners):
        for member in members:
            own[member] = own.get(member, 0) | 1 << at
    found = dict(own)
    for member in own.keys() & meeting.keys():
        together = 0
        for other in own.keys() & meeting[member]:
            together |= own[other]
        found[member] = together
    return found


def _highest(earlier: int, numbers: Sequence[int], levels: Sequence[int]) -> int:
    """Return the highest precedence among the legs whose bits are set, 0 if there are none."""
    if earlier.bit_count() <= FEW:
        highest = 0
        while earlier:
            at = earlier.bit_length() - 1
            highest = max(highest, numbers[at])
            earlier ^= 1 << at
        return highest
    for number in range(len(levels), 0, -1):
        if levels[number - 1] & earlier:
            return number
    return 0
