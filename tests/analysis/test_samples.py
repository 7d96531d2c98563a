"""Packets to try tests with: of every rule that decides some of what an expectation speaks of."""

from __future__ import annotations

from random import Random

from random_rulesets import Maker
from universe import small

from microseg.analysis import samples
from microseg.analysis.regions import of_expectation
from microseg.policy.evaluate import evaluate
from microseg.policy.rules import OrderedRule, Ruleset

UNIVERSE = small()


def who(decider: object) -> int:
    return id(decider.rule) if isinstance(decider, OrderedRule) else 0


def test_every_rule_that_decides_something_is_tried() -> None:
    for seed in range(200):
        ruleset = Maker(Random(seed)).ruleset(tests=2)
        found = list(samples.of_tests(ruleset))
        for test in ruleset.tests:
            for expectation in test.expectations:
                mine = [each for each in found if each.expectation is expectation]
                assert all(each.packet in of_expectation(expectation) for each in mine)
                assert all(each.decision == evaluate(ruleset, each.packet) for each in mine)
                spoken_of = UNIVERSE.region(of_expectation(expectation))
                deciding = {
                    who(decider) for decider, packets in UNIVERSE.deciders(ruleset) if packets & spoken_of
                }
                assert {who(each.decision.decider) for each in mine} == deciding, seed


def test_a_policy_without_tests_has_nothing_to_try() -> None:
    assert list(samples.of_tests(Ruleset(()))) == []
