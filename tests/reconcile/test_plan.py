from __future__ import annotations

import struct
from dataclasses import replace

from hypothesis import given
from reconcile.worlds import contents_of, slots

from microseg.abi import PolicyMap, Root, SlotConfig, SlotContents
from microseg.policy.rules import Verdict
from microseg.reconcile.dataplane import Attachment, Hook
from microseg.reconcile.desired import Desired
from microseg.reconcile.observed import NOTHING, Observed
from microseg.reconcile.plan import Counts, Kind, compare, differences, plan
from microseg.reconcile.records import Attribution, Names

LIVE = Observed(loaded=True, root=Root(1), configs=(SlotConfig(), SlotConfig(1, Verdict.DENY)))


def test_differences_are_sorted_and_classified() -> None:
    before = contents_of({PolicyMap.POLICY: {3: 1, 1: 1, 2: 1}, PolicyMap.SERVICE: {9: 9}})
    after = contents_of({PolicyMap.POLICY: {4: 1, 2: 5, 1: 1}, PolicyMap.SERVICE: {9: 9}})

    found = [(it.map, int.from_bytes(it.key, "big"), it.kind) for it in differences(before, after)]

    assert found == [
        (PolicyMap.POLICY, 2, Kind.UPDATE),
        (PolicyMap.POLICY, 3, Kind.DELETE),
        (PolicyMap.POLICY, 4, Kind.CREATE),
    ]


@given(slots(), slots())
def test_carrying_out_the_differences_gives_the_other_contents(
    before: SlotContents, after: SlotContents
) -> None:
    maps = {name: dict(before.maps[name]) for name in PolicyMap}
    for change in differences(before, after):
        assert maps[change.map].get(change.key) == change.before
        if change.after is None:
            del maps[change.map][change.key]
        else:
            maps[change.map][change.key] = change.after

    assert maps == after.maps


@given(slots())
def test_a_plan_of_what_is_in_force_is_empty(contents: SlotContents) -> None:
    live = SlotContents(contents.maps, replace(contents.config, generation=1))

    made = plan(Desired(contents), LIVE, live)

    assert made.is_empty
    assert made.desired == made.observed
    assert all(counts == Counts() for counts in made.counts().values())


@given(slots(), slots())
def test_a_plan_is_empty_exactly_when_the_digests_agree(before: SlotContents, after: SlotContents) -> None:
    made = compare(Desired(after), Desired(before))

    assert made.is_empty == (made.desired == made.observed)


def test_the_first_plan_loads_attaches_and_creates_everything() -> None:
    desired = Desired(contents_of({PolicyMap.POLICY: {1: 1, 2: 2}}))
    wanted = [Attachment("eth1", Hook.TCX), Attachment("eth0", Hook.TCX)]

    made = plan(desired, Observed(), NOTHING, wanted=wanted)

    assert made.load
    assert made.observed is None
    assert [it.interface for it in made.attach] == ["eth0", "eth1"]
    assert made.counts()[PolicyMap.POLICY] == Counts(create=2)
    assert made.default is not None
    assert made.default.before is None


def test_the_first_plan_of_an_empty_policy_is_not_empty() -> None:
    assert not plan(Desired(contents_of({})), Observed(loaded=True), NOTHING).is_empty


def test_another_default_alone_replaces_the_policy() -> None:
    made = compare(Desired(contents_of({}, Verdict.ALLOW)), Desired(contents_of({}, Verdict.DENY)))

    assert made.replaces_policy
    assert made.changes == ()
    assert made.default is not None


def test_what_is_attached_as_wanted_is_left_as_it_is() -> None:
    contents = contents_of({})
    observed = replace(LIVE, attachments=(Attachment("eth0", Hook.TCX), Attachment("eth1", Hook.TCX)))
    live = SlotContents(contents.maps, replace(contents.config, generation=1))
    moved = Attachment("eth0", Hook.CLSACT)

    assert plan(Desired(contents), observed, live, wanted=observed.attachments[:1]).is_empty
    assert plan(Desired(contents), observed, live, wanted=[moved]).attach == (moved,)


def test_a_slot_of_another_generation_than_the_root_is_replaced_even_when_its_entries_are_right() -> None:
    contents = contents_of({})
    observed = replace(LIVE, root=Root(3))

    assert plan(Desired(contents), observed, contents).replaces_policy


def test_entries_are_attributed_to_their_rules_new_or_old() -> None:
    def value(rule_id: int) -> int:
        return int.from_bytes(struct.pack("=2IBBH", 1, rule_id, 1, 0, 0), "big")

    before = Desired(contents_of({PolicyMap.POLICY: {1: value(10), 2: value(20), 3: value(0)}}))
    after = Desired(
        contents_of({PolicyMap.POLICY: {2: value(21)}}), Names({21: Attribution("p", "new", "a", 1)})
    )
    old = Names({10: Attribution("p", "gone", "a", 2), 20: Attribution("p", "old", "a", 3)})

    made = compare(after, replace(before, names=old))

    texts = [rule.text if (rule := made.rule_of(change)) else None for change in made.changes]
    assert texts == ["gone", "new", None]
