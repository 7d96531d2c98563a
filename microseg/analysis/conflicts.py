"""Policies of equal priority must not decide a packet differently: the order of files has no meaning."""

from __future__ import annotations

from itertools import combinations, groupby
from typing import TYPE_CHECKING

from microseg.analysis.regions import of_rule, uncovered
from microseg.diagnostics import Code, Diagnostic, Label

if TYPE_CHECKING:
    from microseg.analysis.regions import Region
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Policy, Rule, Ruleset


def find(ruleset: Ruleset) -> list[Diagnostic]:
    """Return an error for each two policies of equal priority that decide some packet differently."""
    found: list[Diagnostic] = []
    decided: list[Region] = []
    policies = sorted(ruleset.policies, key=lambda policy: (policy.priority, policy.name))
    for _, group in groupby(policies, key=lambda policy: policy.priority):
        tier = list(group)
        for left, right in combinations(tier, 2):
            found += _between(left, right, decided)
        decided += [region for policy in tier for rule in policy.rules for region in of_rule(rule)]
    return found


def _between(left: Policy, right: Policy, decided: list[Region]) -> list[Diagnostic]:
    """Return the first disagreement of two policies, outside of what is decided before either is asked."""
    verdicts = {policy.verdict(rule) for policy in (left, right) for rule in policy.rules}
    if len(verdicts) < 2:
        return []
    before_left: list[Region] = []
    for rule in left.rules:
        before_right: list[Region] = []
        for other in right.rules:
            if left.verdict(rule) is not right.verdict(other):
                packet = _shared_packet(rule, other, [*before_left, *before_right, *decided])
                if packet:
                    return [_disagreement(left, rule, right, other, packet)]
            before_right += of_rule(other)
        before_left += of_rule(rule)
    return []


def _shared_packet(rule: Rule, other: Rule, excluded: list[Region]) -> Packet | None:
    """Return a packet both rules match and no excluded region has, or None."""
    for mine in of_rule(rule):
        for theirs in of_rule(other):
            if mine.overlaps(theirs):
                for piece in uncovered(mine & theirs, excluded):
                    return piece.witness()
    return None


def _disagreement(left: Policy, rule: Rule, right: Policy, other: Rule, packet: Packet) -> Diagnostic:
    mine, theirs = left.verdict(rule).name.lower(), right.verdict(other).name.lower()
    return Diagnostic.of(
        Code.CONFLICT,
        other.span,
        f"policies `{left.name}` and `{right.name}` both have priority {left.priority} and disagree about "
        f"{packet}",
        Label(other.span, f"`{right.name}` says {theirs}"),
        Label(rule.span, f"`{left.name}` says {mine}"),
        help=f"give the one that should win a lower number: `policy {left.name} priority "
        f"{max(left.priority - 1, 0)} {{`",
    )
