"""A mapping in sections is what it is in one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.sections import Sections, in_one, sections_of


@given(st.dictionaries(st.integers(0, 20), st.integers()), st.lists(st.integers(0, 20), max_size=4))
def test_sections_are_what_they_are_in_one(whole: dict[int, int], cuts: list[int]) -> None:
    keys, ends = list(whole), [0, *sorted(cuts), len(whole)]
    found = Sections({key: whole[key] for key in keys[from_:to]} for from_, to in pairwise(ends))
    assert found == whole == in_one(found)
    assert list(found.items()) == list(whole.items())
    assert len(found) == len(whole)
    assert {key: found.get(key) for key in range(21)} == {key: whole.get(key) for key in range(21)}
    assert sections_of(found) == found.sections
    assert sections_of(whole) == (whole,)


def test_sections_differ_where_a_value_does() -> None:
    found = Sections([{1: "a"}, {2: "b"}])
    assert found == Sections([{1: "a", 2: "b"}])
    assert found != Sections([{1: "a"}, {2: "c"}])
    assert found != "ab"
    with pytest.raises(KeyError):
        found[3]
