"""Exact algebra of sets of whole numbers, kept as sorted, disjoint, non-adjacent inclusive ranges.

The one representation behind addresses, ports and protocols. Because it is canonical, two sets are equal
exactly when their tuples are.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Range: TypeAlias = tuple[int, int]
"""First and last member, both included."""

Ranges: TypeAlias = tuple[Range, ...]
"""Canonical: sorted, disjoint, not adjacent."""

EMPTY: Ranges = ()

_low = itemgetter(0)


def normalize(ranges: Iterable[Range]) -> Ranges:
    """Return the canonical form of ranges given in any order, overlapping or not."""
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            if high > merged[-1][1]:
                merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return tuple(merged)


def union(*sets: Ranges) -> Ranges:
    """Return the numbers that are in any of the sets."""
    filled = [ranges for ranges in sets if ranges]
    if len(filled) == 1:
        return filled[0]
    return normalize(item for ranges in filled for item in ranges)


def intersection(left: Ranges, right: Ranges) -> Ranges:
    """Return the numbers that are in both sets."""
    found: list[Range] = []
    i = j = 0
    while i < len(left) and j < len(right):
        low = max(left[i][0], right[j][0])
        high = min(left[i][1], right[j][1])
        if low <= high:
            found.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def complement(ranges: Ranges, highest: int) -> Ranges:
    """Return the numbers from 0 to highest that are not in the set."""
    gaps: list[Range] = []
    start = 0
    for low, high in ranges:
        if low > start:
            gaps.append((start, low - 1))
        start = high + 1
    if start <= highest:
        gaps.append((start, highest))
    return tuple(gaps)


def difference(left: Ranges, right: Ranges) -> Ranges:
    """Return the numbers that are in left and not in right."""
    if not left or not right:
        return left
    return intersection(left, complement(right, left[-1][1]))


def overlap(left: Ranges, right: Ranges) -> bool:
    """Say whether the sets share a number; cheaper than computing the intersection."""
    if len(left) > len(right):
        left, right = right, left
    for low, high in left:
        at = bisect_right(right, (high, high)) - 1
        candidates = right[max(at, 0) : at + 2]
        if any(other_low <= high and low <= other_high for other_low, other_high in candidates):
            return True
    return False


def contains(ranges: Ranges, number: int) -> bool:
    """Say whether the number is in the set."""
    at = bisect_right(ranges, number, key=_low)
    return at > 0 and number <= ranges[at - 1][1]


def covers(outer: Ranges, inner: Ranges) -> bool:
    """Say whether every number of inner is in outer."""
    return intersection(outer, inner) == inner


def size(ranges: Ranges) -> int:
    """Return how many numbers the set has."""
    return sum(high - low + 1 for low, high in ranges)


def prefixes(ranges: Ranges, bits: int) -> Iterator[tuple[int, int]]:
    """Yield the fewest (number, prefix_bits) blocks of a bits-wide number that together are the set.

    A block holds the 2**(bits - prefix_bits) numbers from the given one on, which is a multiple of that
    (RFC 4632 section 3.1).
    """
    for first, high in ranges:
        low = first
        while low <= high:
            aligned = (low & -low).bit_length() - 1 if low else bits
            fitting = (high - low + 1).bit_length() - 1
            free = min(aligned, fitting)
            yield low, bits - free
            low += 1 << free
