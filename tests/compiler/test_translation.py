"""A translation gives what is made of each item, in the order of the items, and makes it once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from microseg.memo import Each, Translation, common_ends

ITEMS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), max_size=12).map(dict)
SEQUENCE = st.lists(st.integers(0, 3), max_size=8)


@given(st.lists(ITEMS, max_size=6))
def test_only_what_is_another_object_is_made(turns: list[dict[int, int]]) -> None:
    translation: Translation[int, int, str] = Translation()
    before: dict[int, int] = {}
    for items in turns:
        made: list[int] = []

        def make(key: int, value: int, made: list[int] = made) -> str:
            made.append(key)
            return f"{key} is {value}"

        found = translation.of(items, make)
        assert list(found.items()) == [(key, f"{key} is {value}") for key, value in items.items()]
        assert made == [key for key, value in items.items() if before.get(key) is not value]
        before = items


@given(SEQUENCE, SEQUENCE)
def test_common_ends_never_overlap(before: list[int], after: list[int]) -> None:
    head, tail = common_ends(before, after)
    assert head + tail <= min(len(before), len(after))
    assert before[:head] == after[:head]
    assert before[len(before) - tail :] == after[len(after) - tail :]


@given(st.lists(st.tuples(st.lists(st.integers(0, 6), max_size=6), st.integers(0, 1))))
def test_each_value_is_worked_out_for_the_object_and_once(rows: list[tuple[list[int], int]]) -> None:
    objects, each = [[number] for number in range(7)], Each[list[int], str]()
    before: tuple[list[int], int] = [], 0
    for row, plain in rows:
        made: list[int] = []

        def make(given: list[int], made: list[int] = made, plain: int = plain) -> str:
            made.append(given[0])
            return f"{given[0]} on {plain}"

        found = each.of([objects[number] for number in row], make, plain)
        assert list(found) == [f"{number} on {plain}" for number in row]
        known = before[0] if before[1] == plain else []
        assert set(made) == set(row) - set(known)
        before = row, plain
