from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from microseg.policy import ranges

HIGHEST = 63
numbers = st.integers(0, HIGHEST)
number_sets = st.frozensets(numbers)


def of(members: frozenset[int]) -> ranges.Ranges:
    return ranges.normalize((number, number) for number in members)


def members(of_ranges: ranges.Ranges) -> set[int]:
    return {number for low, high in of_ranges for number in range(low, high + 1)}


def is_canonical(of_ranges: ranges.Ranges) -> bool:
    in_order = all(low <= high for low, high in of_ranges)
    apart = all(a[1] + 1 < b[0] for a, b in pairwise(of_ranges))
    return in_order and apart


@given(number_sets, number_sets)
def test_algebra_is_that_of_sets(left: frozenset[int], right: frozenset[int]) -> None:
    a, b = of(left), of(right)
    results = {
        ranges.union(a, b): left | right,
        ranges.intersection(a, b): left & right,
        ranges.difference(a, b): left - right,
        ranges.complement(a, HIGHEST): set(range(HIGHEST + 1)) - left,
    }
    for result, expected in results.items():
        assert is_canonical(result)
        assert members(result) == expected
    assert ranges.overlap(a, b) == bool(left & right)
    assert ranges.covers(a, b) == (right <= left)
    assert ranges.size(a) == len(left)


@given(number_sets, numbers)
def test_contains(of_numbers: frozenset[int], number: int) -> None:
    assert ranges.contains(of(of_numbers), number) == (number in of_numbers)


@given(st.lists(st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))))
def test_normalize_takes_ranges_in_any_order(pairs: list[tuple[int, int]]) -> None:
    result = ranges.normalize(pairs)
    assert is_canonical(result)
    assert members(result) == {n for low, high in pairs for n in range(low, high + 1)}


@given(number_sets)
def test_prefixes_cover_exactly_and_are_as_few_as_possible(of_numbers: frozenset[int]) -> None:
    blocks = list(ranges.prefixes(of(of_numbers), 6))
    covered: set[int] = set()
    for number, bits in blocks:
        block = set(range(number, number + (1 << 6 - bits)))
        assert number % len(block) == 0
        assert not covered & block
        covered |= block
    assert covered == of_numbers
    for number, bits in blocks:
        sibling = number ^ (1 << 6 - bits) if bits else None
        assert (sibling, bits) not in blocks, "two halves of one block"


def test_prefixes_of_everything() -> None:
    assert list(ranges.prefixes(((0, (1 << 128) - 1),), 128)) == [(0, 0)]
