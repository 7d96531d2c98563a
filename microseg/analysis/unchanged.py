"""What stays proved when a few rules change, without a look at all the others.

A packet that no changed rule matches, neither as it was nor as it is, is decided as before. So a conflict
that wasn't there lies within a changed rule, and a test that held can only fail by packets of one. Where that
isn't enough to be sure, the answer is no, and somebody has to look at the whole.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from microseg.analysis import conflicts, proofs, regions
from microseg.analysis.book import Book
from microseg.analysis.regions import Region
from microseg.policy import ranges
from microseg.policy.addresses import AddressSet
from microseg.policy.rules import NamedService, NamedSet, Ruleset
from microseg.policy.services import ANY_SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microseg.memo import Memo
    from microseg.policy.rules import Policy, PolicyTest, Rule

MOST = 32
"""Changed rules from which a look at the whole is quicker."""


def is_still_sound(before: Ruleset, after: Ruleset, bounds: Memo[Region]) -> bool:
    """Say whether it is sure that no priorities are in conflict and all tests hold.

    Args:
        before: a ruleset of which this is true.
        after: the one in question.
        bounds: regions around policies.

    """
    if before.default_verdict() is not after.default_verdict():
        return False
    changed = changed_rules(before, after)
    if len(changed) > MOST:
        return False
    places = [region for rule in changed for region in regions.of_rule(rule) if region]
    if conflicts.are_possible(after) and any(_is_in_conflict(after, place, bounds) for place in places):
        return False
    return _do_tests_hold(before, after, places, bounds)


def changed_rules(before: Ruleset, after: Ruleset) -> list[Rule]:
    """Return the rules of either that the other hasn't got in the same place among the others."""
    policies = [{policy.name: policy for policy in ruleset.policies} for ruleset in (before, after)]
    found: list[Rule] = []
    for name in dict.fromkeys(name for each in policies for name in each):
        old, new = (each.get(name) for each in policies)
        if old is None or new is None or (old.priority, old.mode) != (new.priority, new.mode):
            found += [rule for policy in (old, new) if policy for rule in policy.rules]
        elif old is not new:
            found += _between(old.rules, new.rules)
    return found


def _between(old: Sequence[Rule], new: Sequence[Rule]) -> list[Rule]:
    """Return what lies between the rules that two policies begin with and those that they end with."""
    shorter = min(len(old), len(new))
    head = next((at for at in range(shorter) if not _is_same(old[at], new[at])), shorter)
    rest = range(1, shorter - head + 1)
    tail = next((at - 1 for at in rest if not _is_same(old[-at], new[-at])), shorter - head)
    return [*old[head : len(old) - tail], *new[head : len(new) - tail]]


def _is_same(old: Rule, new: Rule) -> bool:
    return old is new or (
        old.action is new.action
        and old.both_ways == new.both_ways
        and old.src.addresses == new.src.addresses
        and old.dst.addresses == new.dst.addresses
        and old.service.services == new.service.services
    )


def _is_in_conflict(ruleset: Ruleset, place: Region, bounds: Memo[Region]) -> bool:
    """Say whether policies of equal priority disagree about some packet of a region."""
    policies = (
        replace(policy, rules=tuple(part for rule in policy.rules for part in _within(rule, place)))
        for policy in ruleset.policies
        if _meet(bounds_of(policy, bounds), place)
    )
    return any(conflicts.conflicts(Book(Ruleset(tuple(policies), ruleset.default))))


def _within(rule: Rule, place: Region) -> Iterator[Rule]:
    """Yield what a rule says about the packets of a region, one rule for each of its directions."""
    for src, dst in rule.directions():
        sides = src.addresses & place.src, dst.addresses & place.dst
        service = rule.service.services & place.service
        if Region(*sides, service):
            yield replace(
                rule,
                src=NamedSet("", sides[0]),
                dst=NamedSet("", sides[1]),
                service=NamedService("", service),
                both_ways=False,
            )


def _do_tests_hold(before: Ruleset, after: Ruleset, places: Sequence[Region], bounds: Memo[Region]) -> bool:
    """Say whether the tests hold that are new, or speak of packets that may be decided otherwise."""
    held = {id(test) for test in before.tests}
    in_doubt = [test for test in after.tests if id(test) not in held or _speaks_of(test, places)]
    if not in_doubt:
        return True
    if len(in_doubt) > MOST:
        return False
    spoken_of = [regions.of_expectation(each) for test in in_doubt for each in test.expectations]
    policies = tuple(
        replace(policy, rules=tuple(rule for rule in policy.rules if _is_in(rule, spoken_of)))
        for policy in after.policies
        if any(_meet(bounds_of(policy, bounds), place) for place in spoken_of)
    )
    part = replace(after, policies=policies, tests=tuple(in_doubt))
    return not any(proofs.failures(Book(part, proofs.spoken_of(part))))


def _speaks_of(test: PolicyTest, places: Sequence[Region]) -> bool:
    return any(_meet(regions.of_expectation(each), place) for each in test.expectations for place in places)


def _is_in(rule: Rule, places: Sequence[Region]) -> bool:
    return any(_meet(region, place) for region in regions.of_rule(rule) for place in places)


def _meet(left: Region, right: Region) -> bool:
    """Say whether two regions may share a packet; "yes" may be wrong for addresses of two families."""
    return (
        left.dst.overlaps(right.dst) and left.src.overlaps(right.src) and left.service.overlaps(right.service)
    )


def bounds_of(policy: Policy, known: Memo[Region]) -> Region:
    """Return a region that has all packets that a policy speaks of."""
    return known.of(partial(_bounds_of, policy), (policy,))


def _bounds_of(policy: Policy) -> Region:
    ways = [way for rule in policy.rules for way in rule.directions()]
    src, dst = (
        AddressSet(
            ranges.normalize(span for way in ways for span in way[side].addresses.v4),
            ranges.normalize(span for way in ways for span in way[side].addresses.v6),
        )
        for side in (0, 1)
    )
    return Region(src, dst, ANY_SERVICE)
