"""The questions of the analysis, answered by looking at every packet of a small universe."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from microseg.analysis.proofs import SATISFYING
from microseg.analysis.regions import of_expectation
from microseg.policy.rules import OrderedRule

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import date

    from universe import Packets, Universe

    from microseg.policy.rules import Expectation, Policy, Rule, Ruleset, Verdict


def shadowed(universe: Universe, ruleset: Ruleset) -> set[int]:
    """Return the numbers of the rules that match packets and decide none while they are valid."""
    rules = [ordered.rule for ordered in ruleset.ordered()]
    deciding = {
        id(decider.rule)
        for day in last_days(ruleset)
        for decider, packets in universe.deciders(on(ruleset, day))
        if packets and isinstance(decider, OrderedRule)
    }
    return {number for number, rule in enumerate(rules) if universe.rule(rule) and id(rule) not in deciding}


def is_redundant(
    universe: Universe, ruleset: Ruleset, rules: Collection[Rule], leaving: Collection[Rule] = ()
) -> bool:
    """Say whether all packets get the same without the rules, on every day that one of them is valid.

    What is leaving goes with them.
    """
    gone = {id(rule) for rule in (*rules, *leaving)}
    return all(
        universe.outcomes(now) == universe.outcomes(without(now, gone))
        for day in last_days(ruleset)
        if any(_valid(rule, day) for rule in rules)
        for now in [on(ruleset, day)]
    )


def redundant(
    universe: Universe, ruleset: Ruleset, candidates: Iterable[Collection[Rule]], going: set[int]
) -> list[Rule]:
    """Return the first rule of each candidate that can go, whichever of those before it or going go too.

    Identities of what is going are given, and what is found is added to them.
    """
    found: list[Rule] = []
    for candidate in candidates:
        rules = [rule for rule in candidate if universe.rule(rule) and id(rule) not in going]
        others = going - set(map(id, candidate))
        # It's enough to let one stay: what keeps a packet from being decided alike is a single rule.
        worlds = (others, *(others - {each} for each in others))
        if rules and all(is_redundant(universe, without(ruleset, gone), rules, candidate) for gone in worlds):
            found.append(rules[0])
            going.update(map(id, candidate))
    return found


def conflicting(universe: Universe, ruleset: Ruleset) -> set[tuple[str, str]]:
    """Return the pairs of policies of equal priority that decide a packet differently."""
    found: set[tuple[str, str]] = set()
    policies = sorted(ruleset.policies, key=lambda policy: policy.name)
    for first, second in combinations(policies, 2):
        if first.priority != second.priority:
            continue
        earlier = [policy for policy in policies if policy.priority < first.priority]
        decided = _matched(universe, earlier)
        verdicts, others = _verdicts(universe, first), _verdicts(universe, second)
        for verdict, packets in verdicts:
            for other, rivals in others:
                if verdict is not other and packets & rivals & ~decided:
                    found.add((first.name, second.name))
    return found


def violations(universe: Universe, ruleset: Ruleset, expectation: Expectation) -> Packets:
    """Return the packets an expectation speaks of that get another verdict."""
    satisfying = SATISFYING[expectation.action]
    spoken_of = universe.region(of_expectation(expectation))
    return sum(
        packets & spoken_of
        for outcome, packets in universe.outcomes(ruleset).items()
        if outcome.verdict not in satisfying
    )


def without(ruleset: Ruleset, gone: Collection[int]) -> Ruleset:
    """Return the ruleset without the rules of these identities."""
    return _filtered(ruleset, lambda rule: id(rule) not in gone)


def on(ruleset: Ruleset, day: date | None) -> Ruleset:
    """Return the rules still valid on a day; None is the end of all days."""
    return _filtered(ruleset, lambda rule: _valid(rule, day))


def last_days(ruleset: Ruleset) -> Iterator[date | None]:
    """Yield the last days of rules, and the end of all days."""
    yield from sorted({day for ordered in ruleset.ordered() if (day := ordered.rule.expires)})
    yield None


def _valid(rule: Rule, day: date | None) -> bool:
    return rule.expires is None or (day is not None and rule.expires >= day)


def _filtered(ruleset: Ruleset, keep: Callable[[Rule], bool]) -> Ruleset:
    policies = tuple(replace(policy, rules=tuple(filter(keep, policy.rules))) for policy in ruleset.policies)
    return replace(ruleset, policies=policies)


def _matched(universe: Universe, policies: Collection[Policy]) -> Packets:
    found = 0
    for policy in policies:
        for rule in policy.rules:
            found |= universe.rule(rule)
    return found


def _verdicts(universe: Universe, policy: Policy) -> list[tuple[Verdict, Packets]]:
    """Return what each rule of a policy would decide if there were no other policy."""
    found: list[tuple[Verdict, Packets]] = []
    undecided = universe.everything
    for rule in policy.rules:
        found.append((policy.verdict(rule), undecided & universe.rule(rule)))
        undecided &= ~universe.rule(rule)
    return found
