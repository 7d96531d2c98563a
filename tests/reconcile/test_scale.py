"""What takes no longer for a large policy than for a small one: calls and entries are counted."""

from __future__ import annotations

from pathlib import Path

from reconcile.fake import FakeDataPlane
from reconcile.worlds import OPERATOR, contents_of, host_of, policy, request_for

from microseg.abi import PolicyMap
from microseg.reconcile.apply import apply
from microseg.reconcile.dataplane import RuleCount
from microseg.reconcile.desired import Desired
from microseg.reconcile.rollback import roll_back

RULES = 10_000


def large(rules: int, changed: int = 0) -> Desired:
    entries = {number: number % 97 + (number <= changed) for number in range(1, rules + 1)}
    return Desired(contents_of({PolicyMap.POLICY: entries}))


def calls_of_a_rollback(entries: int, folder: Path) -> list[str]:
    plane = FakeDataPlane()
    host = host_of(plane, folder)
    for changed in (0, 1):
        apply(host, request_for(large(entries, changed)))
    plane.calls.clear()
    roll_back(host, OPERATOR)
    return plane.calls


def test_a_rollback_does_the_same_at_10_and_at_100_000_entries(tmp_path: Path) -> None:
    few = calls_of_a_rollback(10, tmp_path / "few")
    assert few == calls_of_a_rollback(100_000, tmp_path / "many")
    assert not {"read_map", "write_entries"} & set(few)


def test_staging_a_change_of_one_rule_writes_what_changed(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    whole = apply(host, request_for(large(RULES))).staged
    apply(host, request_for(large(RULES, changed=1)))
    staged = apply(host, request_for(large(RULES, changed=2))).staged
    assert (whole, staged) == (RULES, 2), "the slot held the policy before the last one: two rules differ"
    assert staged <= whole * 0.05


def test_counts_of_rules_that_no_kept_generation_knows_are_dropped(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    plane.counts = {number: RuleCount(1, 1) for number in (0, 1, 2, 99)}
    apply(host, request_for(policy(1)))
    assert plane.counts.keys() == {0, 1}, "the default is always counted"
    plane.counts[2] = RuleCount(1, 1)
    apply(host, request_for(policy(2)))
    assert plane.counts.keys() == {0, 1, 2}, "a rollback brings rule 1 back"
