"""What tables say of their differences is what comparing them says, whatever they were made of."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg import tables
from microseg.tables import Packed, Table, Union, differing, pack

KEYS = st.integers(0, 40)
FIRST = st.dictionaries(KEYS, st.integers(0, 2), max_size=40)
WRITTEN = st.dictionaries(KEYS, st.integers(0, 2), max_size=5)
CHANGES = st.lists(st.tuples(WRITTEN, st.sets(KEYS, max_size=3)), max_size=6)
PARTS = st.lists(st.dictionaries(KEYS, st.integers(0, 9), max_size=8), min_size=1, max_size=6)
MANY = st.sampled_from([0, tables.MANY])
"""With 0 nothing is put together anew, however small it is."""

Changes = list[tuple[dict[int, int], set[int]]]
Turns = list[list[dict[int, int]]]


def key(number: int) -> bytes:
    return number.to_bytes(4, "little")


def really_differing(before: Mapping[int, int], after: Mapping[int, int]) -> set[int]:
    return {each for each in {*before, *after} if before.get(each) != after.get(each)}


@given(FIRST, CHANGES)
def test_tables_differ_as_dictionaries_do(first: dict[int, int], changes: Changes) -> None:
    made = [Table(first)]
    for written, gone in changes:
        last = made[-1]
        removed = gone & last.keys()
        made.append(last.changed(written, removed))
        assert made[-1] == {each: last[each] for each in last if each not in removed} | written
    for before in made:
        for after in made:
            found = differing(before, after)
            assert len(found) == len(set(found))
            assert set(found) == really_differing(before, after) == set(differing(dict(before), after))


@given(FIRST, st.lists(st.tuples(st.integers(0, 9), WRITTEN, st.sets(KEYS, max_size=3), st.booleans())))
def test_tables_stay_as_they_are(
    first: dict[int, int], turns: list[tuple[int, dict[int, int], set[int], bool]]
) -> None:
    made = [(Table(first), dict(first))]
    for at, written, gone, is_read_whole in turns:
        table, known = made[at % len(made)]
        if is_read_whole:
            assert table.in_one() == known
        removed = gone & known.keys()
        kept = {each: value for each, value in known.items() if each not in removed}
        made.append((table.changed(written, removed), kept | written))
        for each, expected in made:
            assert len(each) == len(expected)
            assert {key: each.get(key) for key in range(41)} == {key: expected.get(key) for key in range(41)}
    for table, known in made:
        assert dict(table.items()) == dict(zip(table, table.values(), strict=True)) == known


def test_a_table_lets_go_of_those_it_was_made_of() -> None:
    table = Table({0: 0})
    oldest = weakref.ref(table)
    for number in range(3):
        table = table.changed({number: 1})
    assert oldest() is None


@given(FIRST, CHANGES, MANY)
def test_packed_entries_are_those_of_the_table(first: dict[int, int], changes: Changes, many: int) -> None:
    table = Packed({key(each): key(value) for each, value in first.items()})
    for written, gone in changes:
        removed = {key(each) for each in gone} & table.keys()
        with patch.object(tables, "MANY", many):
            table = table.changed({key(each): key(value) for each, value in written.items()}, removed)
        assert table.packed == b"".join(each + table[each] for each in sorted(table)) == pack(dict(table))


def test_what_is_not_there_cannot_go() -> None:
    table = Packed({b"k": b"v"})
    with pytest.raises(KeyError):
        table.changed({b"l": b"w"}, [b"k", b"x"])
    assert (dict(table), table.packed) == ({b"k": b"v"}, b"kv")


def test_a_table_refuses_to_change() -> None:
    table = Table({1: 2})
    with pytest.raises(TypeError):
        table[1] = 3  # type: ignore[index]
    with pytest.raises(TypeError):
        del table[1]  # type: ignore[attr-defined]
    assert table == {1: 2}


@given(st.lists(PARTS, max_size=5), MANY, st.data())
def test_a_union_remembered_is_as_one_made_anew(turns: Turns, many: int, data: st.DataObject) -> None:
    union: Union[int, int] = Union(min)
    before: list[dict[int, int]] = []
    for came in turns:
        kept = [part for part in before if data.draw(st.booleans())]
        before = data.draw(st.permutations([*kept, *came]))
        every = {each for part in before for each in part}
        with patch.object(tables, "MANY", many):
            found = union.of(before)
            assert found == {each: min(part[each] for part in before if each in part) for each in every}
            assert union.of(list(before)) is found


def test_a_union_of_many_parts_says_what_little_has_changed() -> None:
    parts = [{10 * at + number: at for number in range(10)} for at in range(50)]
    union: Union[int, int] = Union(min)
    before = union.of(parts)
    after = union.of([*parts[:7], {**parts[7], 70: 3, 10: 0, 80: 9}, *parts[8:]])
    assert after.touched_since(before) == {70, 10}
    assert (after[70], after[10], after[80]) == (3, 0, 8)
