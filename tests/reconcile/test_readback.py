"""What comes back from the kernel is what was staged or isn't, whatever was read before."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.abi import KEY_SIZES, VALUE_SIZES, Entries, PolicyMap
from microseg.reconcile import readback
from microseg.reconcile.dataplane import Reading
from microseg.reconcile.readback import Readings
from microseg.tables import Packed

NAME = PolicyMap.POLICY
KEY_SIZE, VALUE_SIZE = KEY_SIZES[NAME], VALUE_SIZES[NAME]
COUNT = 200


def entry(number: int, value: int = 0) -> tuple[bytes, bytes]:
    return number.to_bytes(KEY_SIZE, "little"), bytes([value]) * VALUE_SIZE


def reading_of(entries: list[tuple[bytes, bytes]]) -> Reading:
    keys, values = (b"".join(each) for each in zip(*entries, strict=True))
    return Reading(keys, values, KEY_SIZE, VALUE_SIZE)


def kernel_order(entries: Entries) -> list[tuple[bytes, bytes]]:
    """Return entries in an order that has nothing to do with theirs, and stays while they do."""
    return sorted(entries.items(), key=lambda each: Random(each[0]).random())


@pytest.fixture
def taken_apart(monkeypatch: pytest.MonkeyPatch) -> list[Reading]:
    """Record what is compared entry by entry."""
    found: list[Reading] = []
    whole = readback._is_whole  # noqa: SLF001  what is not to be used

    def watched(reading: Reading, expected: Entries) -> bool:
        found.append(reading)
        return whole(reading, expected)

    monkeypatch.setattr(readback, "_is_whole", watched)
    return found


def test_a_small_change_is_held_against_the_bytes_of_before(taken_apart: list[Reading]) -> None:
    before = Packed(entry(number) for number in range(COUNT))
    after = before.changed(dict([entry(3, 7), entry(COUNT + 1)]), [entry(5)[0]])
    readings = Readings()
    assert readings.holds(0, NAME, reading_of(kernel_order(before)), before)
    assert len(taken_apart) == 1
    assert readings.holds(0, NAME, reading_of(kernel_order(after)), after)
    assert len(taken_apart) == 1
    assert readings.entries(0, NAME, reading_of(kernel_order(after))) is after
    assert readings.entries(1, NAME, reading_of(kernel_order(after))) == after
    assert readings.entries(0, NAME, reading_of(kernel_order(before))) == before


def test_a_key_is_not_found_across_the_border_of_two_others(taken_apart: list[Reading]) -> None:
    half = KEY_SIZE // 2
    keys = [b"\1" * half + bytes(half), bytes(half) + b"\1" * half, bytes(KEY_SIZE)]
    before = Packed((key, b"\7" * VALUE_SIZE) for key in keys)
    after, readings = before.changed({keys[2]: b"\6" * VALUE_SIZE}), Readings()
    assert readings.holds(0, NAME, reading_of([(key, before[key]) for key in keys]), before)
    assert readings.holds(0, NAME, reading_of([(key, after[key]) for key in keys]), after)
    assert len(taken_apart) == 1


@pytest.mark.parametrize("twice", [False, True])
def test_an_entry_too_many_is_seen(*, twice: bool) -> None:
    before = Packed(entry(number) for number in range(COUNT))
    after = before.changed(dict([entry(3, 7)]))
    readings = Readings()
    assert readings.holds(0, NAME, reading_of(kernel_order(before)), before)
    stranger = entry(3, 7) if twice else entry(COUNT)
    assert not readings.holds(0, NAME, reading_of([*kernel_order(after), stranger]), after)
    assert readings.holds(0, NAME, reading_of(kernel_order(after)), after)


CHANGES = st.lists(st.tuples(st.integers(0, COUNT + 20), st.integers(0, 2)), max_size=40)


@given(CHANGES, CHANGES, st.sampled_from([0, 1]), st.randoms(use_true_random=False))
def test_what_was_read_before_makes_no_difference(
    staged: list[tuple[int, int]],
    altered: list[tuple[int, int]],
    moved: int,
    rng: Random,
) -> None:
    before = Packed(entry(number) for number in range(COUNT))
    written = dict(entry(*each) for each in staged if each[1])
    gone = {entry(*each)[0] for each in staged if not each[1]} & before.keys() - written.keys()
    after, readings = before.changed(written, gone), Readings()
    assert readings.holds(0, NAME, reading_of(kernel_order(before)), before)
    found = kernel_order({**after, **dict(entry(*each) for each in altered[:2])})
    if moved:
        rng.shuffle(found)
    assert readings.holds(0, NAME, reading_of(found), after) is (dict(found) == after)
