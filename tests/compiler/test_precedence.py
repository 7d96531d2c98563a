from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from microseg.compiler.precedence import Leg, meets, of_legs

# Sets 1, 2 are disjoint, 3 contains both.
MEETS = meets([(1, 3), (2, 3), (3,)])
members = st.integers(1, 3)
legs = st.lists(st.builds(Leg, members, members, members), max_size=30)


def overlap(a: int, b: int) -> bool:
    return a == b or 3 in (a, b)


def legs_overlap(a: Leg, b: Leg) -> bool:
    return overlap(a.src_set, b.src_set) and overlap(a.dst_set, b.dst_set) and overlap(a.service, b.service)


@given(legs)
def test_of_two_overlapping_legs_the_earlier_has_the_lower_number(of: list[Leg]) -> None:
    numbers = of_legs(of, MEETS, MEETS)
    for later in range(len(of)):
        for earlier in range(later):
            if legs_overlap(of[earlier], of[later]):
                assert numbers[earlier] < numbers[later]


@given(legs)
def test_numbers_are_one_more_than_the_highest_below(of: list[Leg]) -> None:
    numbers = of_legs(of, MEETS, MEETS)
    for at, leg in enumerate(of):
        below = [numbers[i] for i in range(at) if legs_overlap(of[i], leg)]
        assert numbers[at] == 1 + max(below, default=0)


def test_many_overlapping_legs_count_up() -> None:
    chain = [Leg(3, 3, 3)] * 200
    assert of_legs(chain, MEETS, MEETS) == list(range(1, 201))


def test_an_inserted_rule_renumbers_only_what_it_overlaps() -> None:
    before = [Leg(1, 1, 1), Leg(2, 2, 2), Leg(1, 2, 1), Leg(2, 1, 1)]
    after = [*before[:1], Leg(1, 1, 3), *before[1:]]
    numbers = of_legs(after, MEETS, MEETS)
    assert [numbers[0], *numbers[2:]] == of_legs(before, MEETS, MEETS)
