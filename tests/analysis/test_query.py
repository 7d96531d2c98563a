"""Queries: every packet of the question is in the answer of the rule that decides it, and in no other."""

from __future__ import annotations

from random import Random

import pytest
from long_runs import seeds
from random_rulesets import Maker
from universe import Packets, Universe, small

from microseg.analysis.book import Outcome
from microseg.analysis.query import Answer, query
from microseg.analysis.wording import Part
from microseg.policy.evaluate import evaluate
from microseg.policy.rules import OrderedRule, Ruleset

UNIVERSE = small()
PARTS = 4


def packets_of(universe: Universe, part: Part) -> Packets:
    found = universe.region(part.product.region)
    for exception in part.exceptions:
        found &= ~universe.region(exception.region)
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_answers_are_those_of_every_packet(part: int) -> None:
    for seed in seeds(part, PARTS, short=1000, long=20_000):
        maker = Maker(Random(seed))
        ruleset, region = maker.ruleset(), maker.region()
        answers = {answer.decider: answer for answer in query(ruleset, region)}
        asked = UNIVERSE.region(region)
        for decider, packets in UNIVERSE.deciders(ruleset):
            if packets & asked:
                check(ruleset, answers.pop(decider), packets & asked, seed)
        assert not answers, seed


def check(ruleset: Ruleset, answer: Answer, expected: Packets, seed: int) -> None:
    found = 0
    for part in answer.parts:
        assert evaluate(ruleset, part.witness).decider == answer.decider, seed
        assert part.witness in part, seed
        found |= packets_of(UNIVERSE, part)
    assert found == expected, seed
    assert answer.outcome == Outcome.of(answer.decider, ruleset), seed
    if isinstance(answer.decider, OrderedRule):
        rules = ruleset.ordered()
        assert answer.otherwise == tuple(
            rule
            for rule in rules[rules.index(answer.decider) + 1 :]
            if rule.verdict is not answer.outcome.verdict and UNIVERSE.rule(rule.rule) & expected
        ), seed
