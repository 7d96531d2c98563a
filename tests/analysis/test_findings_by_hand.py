"""Shadowed and redundant rules, conflicts and proofs are those that looking at every packet finds."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import or_
from random import Random

import by_hand
import pytest
from long_runs import seeds
from random_rulesets import Maker
from universe import Universe, small

from microseg.analysis import conflicts, proofs, redundancy, shadowing
from microseg.analysis.book import Book
from microseg.analysis.regions import of_expectation
from microseg.policy.evaluate import evaluate
from microseg.policy.rules import Policy

PARTS = 8
UNIVERSE = small()


@pytest.mark.parametrize("part", range(PARTS))
def test_findings_are_those_of_every_packet(part: int) -> None:
    for seed in seeds(part, PARTS, short=10_000, long=200_000):
        ruleset = Maker(Random(seed)).ruleset(expiry=seed % 3 == 0, tests=2)
        book = Book(ruleset, proofs.spoken_of(ruleset))
        check_rules(UNIVERSE, book, seed)
        check_conflicts(UNIVERSE, book, seed)
        check_proofs(UNIVERSE, book, seed)


def check_rules(universe: Universe, book: Book, seed: int) -> None:
    ruleset, rules = book.ruleset, [ordered.rule for ordered in book.rules]
    shadowed = shadowing.find(book)
    idle = {each.rule for each in shadowed}
    assert idle == by_hand.shadowed(universe, ruleset), seed
    gone = {id(rules[number]) for number in idle}
    pointless = redundancy.find_policies(book, idle, lambda _: True)
    assert [rules[each.rules[0]] for each in pointless] == by_hand.redundant(
        universe, ruleset, (policy.rules for policy in in_turn(book)), gone
    ), seed
    idle |= {number for each in pointless for number in each.rules}
    redundant = redundancy.find(book, idle, lambda _: True)
    assert [rules[each.rules[0]] for each in redundant] == by_hand.redundant(
        universe, ruleset, ([rule] for rule in rules), gone
    ), seed
    for day in by_hand.last_days(ruleset):
        now = by_hand.on(ruleset, day)
        assert universe.outcomes(now) == universe.outcomes(by_hand.without(now, gone)), seed


def in_turn(book: Book) -> list[Policy]:
    """Return the policies as they are evaluated."""
    return list({ordered.policy.name: ordered.policy for ordered in book.rules}.values())


def check_conflicts(universe: Universe, book: Book, seed: int) -> None:
    found = list(conflicts.conflicts(book))
    pairs = [(conflict.first.policy.name, conflict.second.policy.name) for conflict in found]
    assert len(pairs) == len(set(pairs)), seed
    assert set(pairs) == by_hand.conflicting(universe, book.ruleset), seed
    for conflict in found:
        for mine in (conflict.first, conflict.second):
            policies = tuple(
                each
                for each in book.ruleset.policies
                if each.priority < mine.policy.priority or each.name == mine.policy.name
            )
            alone = replace(book.ruleset, policies=policies)
            assert evaluate(alone, conflict.packet).decider == mine, seed


def check_proofs(universe: Universe, book: Book, seed: int) -> None:
    failed = {id(failure.expectation): failure for failure in proofs.failures(book)}
    for test in book.ruleset.tests:
        for expectation in test.expectations:
            spoken_of = universe.region(of_expectation(expectation))
            wrong = by_hand.violations(universe, book.ruleset, expectation)
            holds = spoken_of & ~wrong if expectation.some else spoken_of and not wrong
            failure = failed.get(id(expectation))
            assert bool(holds) is (failure is None), seed
            assert failure is None or bool(spoken_of) is (failure.packet is not None), seed
            if failure and failure.packet:
                decision = evaluate(book.ruleset, failure.packet)
                assert failure.packet in of_expectation(expectation), seed
                assert (failure.decider, failure.verdict) == (decision.decider, decision.verdict), seed
                assert decision.verdict not in proofs.SATISFYING[expectation.action], seed


def test_shadowing_rules_cover_together_and_none_is_named_in_vain() -> None:
    several = 0
    for seed in range(1500):
        book = Book(Maker(Random(seed)).ruleset())
        for found in shadowing.find(book):
            boxes = [UNIVERSE.rule(book.rules[number].rule) for number in found.by]
            matched = UNIVERSE.rule(book.rules[found.rule].rule)
            assert max(found.by) < found.rule
            assert not matched & ~together(boxes)
            assert all(matched & ~together(boxes[:i] + boxes[i + 1 :]) for i in range(len(boxes)))
            several += len(boxes) > 1
    assert several > 10


def test_what_stands_in_for_a_redundant_rule_is_later_and_alike() -> None:
    for seed in range(1500):
        book = Book(Maker(Random(seed)).ruleset())
        idle = [each.rule for each in shadowing.find(book)]
        for found in redundancy.find(book, idle, lambda _: True):
            (number,) = found.rules
            assert all(other > number for other in found.instead)
            assert {book.outcomes[other] for other in found.instead} <= {book.outcomes[number]}
            assert found.default or found.instead
            assert not found.default or book.default_outcome == book.outcomes[number]


def together(sets: list[int]) -> int:
    return reduce(or_, sets, 0)
