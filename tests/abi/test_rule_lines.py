"""Counts of rules in lines: what is read of them, and what is left when some are forgotten."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from microseg.abi_counts import RULE_LINE_SIZE, RULE_WAYS, Counted, counted, forget

numbers = st.integers(1, 0xFFFF_FFFF)
counts = st.integers(0, 2**64 - 1)
lines = st.lists(st.lists(st.tuples(numbers, counts, counts), max_size=RULE_WAYS), max_size=5)


def packed(ways: list[tuple[int, int, int]]) -> bytes:
    """Return one line as struct ms_rule_line has it: counts, then rules, 0 where nobody is counted."""
    full = ways + [(0, 0, 0)] * (RULE_WAYS - len(ways))
    pairs = [number for _, packets, octets in full for number in (packets, octets)]
    return struct.pack("=6Q3I4x", *pairs, *(rule for rule, _, _ in full))


@given(lines)
def test_what_is_counted_is_read(given_lines: list[list[tuple[int, int, int]]]) -> None:
    raw = b"".join(map(packed, given_lines))
    assert len(raw) == len(given_lines) * RULE_LINE_SIZE
    assert list(counted(raw)) == [Counted(*way) for ways in given_lines for way in ways]


@given(lines, st.data())
def test_what_is_forgotten_leaves_nothing_and_others_stay(
    given_lines: list[list[tuple[int, int, int]]], data: st.DataObject
) -> None:
    memory = bytearray(b"".join(map(packed, given_lines)))
    before = list(counted(bytes(memory)))
    chosen = [one.rule for one in before]
    gone = frozenset(data.draw(st.lists(st.sampled_from(chosen)))) if chosen else frozenset()
    forget(memoryview(memory), gone)
    assert list(counted(bytes(memory))) == [one for one in before if one.rule not in gone]
    again = b"".join(
        packed([way if way[0] not in gone else (0, 0, 0) for way in ways]) for ways in given_lines
    )
    assert bytes(memory) == again, "a free way has no counts"
