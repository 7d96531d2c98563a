"""Numbers worked out policy by policy, with what is known of the last time, are those of all at once."""

from __future__ import annotations

from itertools import chain
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from microseg.compiler import numbering
from microseg.compiler.drafts import Block
from microseg.compiler.numbering import Meeting, Numbering, number
from microseg.compiler.precedence import Leg, meets, of_legs

MEETS = meets([(1, 2), (2, 3), (4, 5, 6), (6, 7)])
MEETING = Meeting(MEETS, MEETS)
MEMBER = st.integers(1, 8)
LEGS = st.lists(st.builds(Leg, MEMBER, MEMBER, MEMBER), min_size=1, max_size=4)
COMMITS = st.lists(st.tuples(st.lists(LEGS, max_size=2), st.booleans()), min_size=1, max_size=5)


def block_of(legs: list[Leg]) -> Block:
    places = (frozenset(each) for each in zip(*legs, strict=True))
    src, dst, service = places
    return Block(tuple(legs), dict.fromkeys(legs, True), (), (src, dst, service), {})


def all_at_once(blocks: list[Block]) -> list[int]:
    return of_legs([leg for block in blocks for leg in block.legs], *MEETING)


@given(st.lists(LEGS, max_size=8), COMMITS, st.data())
def test_what_is_known_makes_no_difference(
    first: list[list[Leg]], commits: list[tuple[list[list[Leg]], bool]], data: st.DataObject
) -> None:
    blocks, last = [block_of(legs) for legs in first], Numbering()
    much = data.draw(st.booleans())
    with patch.object(numbering, "_is_much", lambda *_: much):
        number(blocks, MEETING, last)
        for came, shuffled in commits:
            kept = [block for block in blocks if data.draw(st.booleans())] if shuffled else list(blocks)
            for legs in came:
                kept.insert(data.draw(st.integers(0, len(kept))), block_of(legs))
            blocks = data.draw(st.permutations(kept)) if shuffled else kept
            assert list(chain.from_iterable(number(blocks, MEETING, last))) == all_at_once(blocks)


def test_a_line_that_meets_nothing_new_leaves_the_others_alone() -> None:
    blocks, last = [block_of([Leg(at, at, at)]) for at in (1, 4, 2, 6, 8)], Numbering()
    before = number(blocks, MEETING, last)
    blocks[1] = block_of([Leg(4, 4, 4), Leg(8, 8, 7)])
    after = number(blocks, MEETING, last)
    assert [before[at] is after[at] for at in (0, 2, 3, 4)] == [True] * 4
    assert after == number(blocks, MEETING, Numbering()) == [(1,), (1, 1), (2,), (2,), (1,)]
