"""A one-line change of a large policy is told in seconds: what both have is not looked into."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random

from microseg.analysis.difference import Kind, compare
from microseg.policy.addresses import AddressSet
from microseg.policy.rules import (
    ANY_NAMED_SERVICE,
    ANY_SET,
    Action,
    NamedService,
    NamedSet,
    OrderedRule,
    Policy,
    Rule,
    Ruleset,
)
from microseg.policy.services import ServiceSet
from microseg.source import Span

RULES = 10_000
LONGEST_S = 20.0
"""CPU seconds; it takes about one."""


def place(line: int) -> Span:
    return Span("large.mseg", line, 1, line, 9)


def large() -> list[Rule]:
    """Return rules of many networks, most of which overlap a few others, and one in front of the default."""
    rng = Random(1)
    texts = [
        *(f"{n}.0.0.0/8" for n in range(1, 100)),
        *(f"10.{n}.0.0/16" for n in range(200)),
        *(f"10.{n}.{n}.0/24" for n in range(200)),
        *(f"10.{n}.{n}.{n}" for n in range(200)),
    ]
    sets = [NamedSet(text, AddressSet.of(text)) for text in texts]
    services = [NamedService(f"tcp/{port}", ServiceSet.of(6, (port, port))) for port in range(1, 200)]
    rules = [
        Rule(rng.choice(tuple(Action)), rng.choice(sets), rng.choice(sets), rng.choice(services), place(line))
        for line in range(1, RULES)
    ]
    return [*rules, Rule(Action.ALLOW, ANY_SET, ANY_SET, ANY_NAMED_SERVICE, place(RULES))]


def ruleset(rules: list[Rule]) -> Ruleset:
    return Ruleset((Policy("large", place(0), tuple(rules)),))


def test_a_one_line_change_of_10_000_rules_is_told_in_seconds() -> None:
    rules = large()
    before = ruleset(rules)
    began = time.process_time()
    for at in (0, RULES // 2, RULES - 1):
        changed = [*rules[:at], replace(rules[at], log=True), *rules[at + 1 :]]
        changes = compare(before, ruleset(changed))
        assert {change.kind for change in changes} == {Kind.LOGGED}
        assert {
            it.rule.span.line
            for change in changes
            for it in change.rules_after
            if isinstance(it, OrderedRule)
        } == {at + 1}
    assert time.process_time() - began < 3 * LONGEST_S
