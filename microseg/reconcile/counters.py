"""What the rules have judged, with where they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.compiler.image import DEFAULT_RULE_ID
from microseg.reconcile.dataplane import NotLoadedError, RuleCount
from microseg.reconcile.known import recall
from microseg.reconcile.observed import read_observed

if TYPE_CHECKING:
    from microseg.reconcile.records import Attribution
    from microseg.reconcile.transaction import Host


@dataclass(frozen=True, slots=True)
class RuleTotal:
    """One rule's count.

    Attributes:
        rule_id: its id; 0 is the default.
        rule: where it stands; None when nothing is known of it.
        count: what it has judged.
        in_force: it belongs to the policy in force, as far as that is known.

    """

    rule_id: int
    rule: Attribution | None
    count: RuleCount
    in_force: bool


def count_rules(host: Host) -> list[RuleTotal]:
    """Return the counts of all rules in force, also of those that judged nothing, and of earlier ones.

    In the order of the text, the default behind the rules, earlier rules last.

    Raises:
        NotLoadedError: nothing is loaded.
        KernelError, OSError: it can't be read.

    """
    observed = read_observed(host.plane)
    if not observed.loaded:
        raise NotLoadedError("nothing is loaded, so nothing is counted", advice="microseg apply")
    rules = recall(host.store, observed).names.rules
    counts = host.plane.rule_counts()
    totals = [
        RuleTotal(rule_id, rules.get(rule_id), counts.get(rule_id, RuleCount(0, 0)), rule_id in rules)
        for rule_id in rules.keys() | counts.keys()
    ]
    return sorted(totals, key=_order)


def forget_unknown_rules(host: Host) -> None:
    """Drop the counts of rules that no kept generation knows; the newest are asked first.

    Raises:
        StateFileError: a generation's file is broken, so it isn't known what it knows; nothing was dropped.
        KernelError, OSError: it can't be read or dropped.

    """
    unknown = set(host.plane.rule_counts()) - {DEFAULT_RULE_ID}
    for generation in host.store.generations():
        if not unknown:
            return
        note = host.store.read_note(generation)
        unknown -= note.names.rules.keys() if note else set()
    if unknown:
        host.plane.forget_rules(sorted(unknown))


def _order(total: RuleTotal) -> tuple[bool, bool, str, int, int]:
    place = (total.rule.path, total.rule.line) if total.rule else ("", 0)
    return (not total.in_force, total.rule_id == 0, *place, total.rule_id)
