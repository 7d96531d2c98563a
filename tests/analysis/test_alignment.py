"""Two sequences in one order that keeps that of each."""

from __future__ import annotations

from random import Random

import pytest

from microseg.analysis.alignment import Step, merge


@pytest.mark.parametrize("seed", range(200))
def test_both_orders_are_kept_and_only_equals_are_one(seed: int) -> None:
    rng = Random(seed)
    before = [rng.randrange(6) for _ in range(rng.randrange(12))]
    after = [rng.randrange(6) for _ in range(rng.randrange(12))]
    steps = merge(before, after)
    assert [step.before for step in steps if step.before is not None] == list(range(len(before)))
    assert [step.after for step in steps if step.after is not None] == list(range(len(after)))
    for step in steps:
        if step.before is not None and step.after is not None:
            assert before[step.before] == after[step.after]


def test_as_much_as_possible_is_common() -> None:
    assert merge("abcd", "abcd") == [Step(i, i) for i in range(4)]
    assert merge("abcd", "xbcda") == [
        Step(0, None),
        Step(None, 0),
        Step(1, 1),
        Step(2, 2),
        Step(3, 3),
        Step(None, 4),
    ]
    assert merge("", "a") == [Step(None, 0)]
    assert merge("", "") == []
