"""A translation gives what is made of each item, in the order of the items, and makes it once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from microseg.memo import Translation, common_ends

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
