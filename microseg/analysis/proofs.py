"""Policy tests: each expectation is proved for every packet of its product, or refuted by one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.analysis.regions import Region, of_rule
from microseg.diagnostics import Code, Diagnostic, Label
from microseg.policy.rules import Action, OrderedRule, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.policy.rules import Decider, Expectation, PolicyTest, Ruleset

_SATISFYING = {
    Action.ALLOW: (Verdict.ALLOW, Verdict.AUDIT),
    Action.DENY: (Verdict.DENY,),
    Action.REJECT: (Verdict.REJECT,),
}


def prove(ruleset: Ruleset) -> list[Diagnostic]:
    """Return an error for each expectation of the ruleset's tests that doesn't hold."""
    return [
        failure
        for test in ruleset.tests
        for expectation in test.expectations
        for failure in _failures(ruleset, test, expectation)
    ]


def decide(ruleset: Ruleset, region: Region) -> Iterator[tuple[Decider, Verdict, Region]]:
    """Cut a region by what decides its packets: disjoint pieces that together are the region."""
    remaining = [region]
    for ordered in ruleset.ordered():
        for matched in of_rule(ordered.rule):
            if not any(piece.overlaps(matched) for piece in remaining):
                continue
            for piece in remaining:
                if piece.overlaps(matched):
                    yield ordered, ordered.verdict, piece & matched
            remaining = [rest for piece in remaining for rest in piece.minus(matched)]
        if not remaining:
            return
    for piece in remaining:
        yield ruleset.default, ruleset.default_verdict(), piece


def _failures(ruleset: Ruleset, test: PolicyTest, expectation: Expectation) -> list[Diagnostic]:
    region = Region(expectation.src.addresses, expectation.dst.addresses, expectation.service.services)
    satisfying = _SATISFYING[expectation.action]
    if not region:
        return [_empty(test, expectation)]
    if expectation.some:
        if any(verdict in satisfying for _, verdict, _ in decide(ruleset, region)):
            return []
        return [_nothing(test, expectation)]
    for decider, verdict, piece in decide(ruleset, region):
        if verdict not in satisfying:
            return [_counterexample(test, expectation, decider, verdict, piece)]
    return []


def _counterexample(
    test: PolicyTest, expectation: Expectation, decider: Decider, verdict: Verdict, piece: Region
) -> Diagnostic:
    labels = [Label(expectation.span, f"expected {expectation.action.value}, found {verdict.name.lower()}")]
    if isinstance(decider, OrderedRule):
        labels.append(Label(decider.rule.span, "this rule decides the packet"))
    elif decider.span:
        labels.append(Label(decider.span, "no rule matches, the default decides"))
    return Diagnostic.of(
        Code.FAILED_TEST,
        expectation.span,
        f'test "{test.name}" fails: {piece.witness()} gets {verdict.name.lower()}',
        *labels,
        help="change the rule if the test is right, or the test if the rule is",
    )


def _nothing(test: PolicyTest, expectation: Expectation) -> Diagnostic:
    word = expectation.action.value
    return Diagnostic.of(
        Code.FAILED_TEST,
        expectation.span,
        f'test "{test.name}" fails: no packet gets {word}',
        Label(expectation.span, f"expected at least one packet with {word}"),
        help="change the rules if the test is right, or the test if they are",
    )


def _empty(test: PolicyTest, expectation: Expectation) -> Diagnostic:
    return Diagnostic.of(
        Code.FAILED_TEST,
        expectation.span,
        f'test "{test.name}" fails: its expectation speaks of no packet at all',
        Label(expectation.span, "source and destination share no address family, or a set is empty"),
        help="write sets that have addresses of the same family",
    )
