"""Filling the standby slot: who is waited for, and what is known of it without reading."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from reconcile.fake import FakeDataPlane
from reconcile.worlds import host_of, policy, request_for

from microseg.abi import EntryFlag, PolicyMap, Root, SlotConfig, SlotContents
from microseg.reconcile.apply import STEPS, StepName, apply
from microseg.reconcile.dataplane import KernelError, Reading
from microseg.reconcile.errors import ApplyError
from microseg.reconcile.observed import NOTHING, read_slot
from microseg.reconcile.remembered import KEPT, Remembered
from microseg.reconcile.staging import stage, verify


def is_waited_for(plane: FakeDataPlane) -> bool:
    """Say whether the last apply waited before it wrote to the standby slot."""
    calls = plane.calls[: plane.calls.index("write_config")]
    return "wait_for_readers" in calls


def test_who_records_a_switch_has_waited_for_its_readers(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    assert is_waited_for(plane), "nothing is recorded of what was before"
    plane.calls.clear()
    apply(host, request_for(policy(2)))
    assert not is_waited_for(plane)
    assert plane.calls.index("write_root") < plane.calls.index("wait_for_readers")


def test_a_switch_that_nobody_recorded_may_not_have_been_waited_for(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    apply(host, request_for(policy(2)), [step for step in STEPS if step.name is not StepName.RECORD])
    plane.calls.clear()
    apply(host, request_for(policy(3)))
    assert is_waited_for(plane)


@pytest.mark.parametrize("unchanged_between", [False, True])
def test_after_a_deadline_nobody_has_waited(
    plane: FakeDataPlane, tmp_path: Path, *, unchanged_between: bool
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    apply(host, request_for(policy(2)))
    plane.root = Root(2, plane.boot_s)
    if unchanged_between:
        apply(host, request_for(policy(1)))
    plane.calls.clear()
    apply(host, request_for(policy(3)))
    assert is_waited_for(plane)


def test_a_slot_that_was_seen_is_read_only_to_verify_it(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    apply(host, request_for(policy(2)))
    plane.calls.clear()
    staged = apply(host, request_for(policy(3))).staged
    before_writing = plane.calls[: plane.calls.index("write_config")]
    assert before_writing.count("read_map") == len(PolicyMap), "the live slot"
    assert plane.calls.count("read_map") == 2 * len(PolicyMap)
    plane.calls.clear()
    fresh = host_of(plane, tmp_path)
    apply(fresh, request_for(policy(4)))
    assert plane.calls.count("read_map") == 3 * len(PolicyMap), "another process has to read both slots"
    assert staged


def test_a_slot_that_somebody_altered_since_is_staged_on_what_is_there(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    apply(host, request_for(policy(2)))
    stranger = b"s" * 12
    plane.maps[1, PolicyMap.POLICY][stranger] = bytes(12)
    apply(host, request_for(policy(3)))
    assert plane.root == Root(3)
    assert plane.live_maps() == policy(3).contents.maps


def test_what_is_altered_again_and_again_never_becomes_visible(tmp_path: Path) -> None:
    class Haunted(FakeDataPlane):
        haunted = False

        def write_entries(self, slot, name, upserts, deletions):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            super().write_entries(slot, name, upserts, deletions)
            if self.haunted:
                self.maps[slot, PolicyMap.POLICY][b"g" * 12] = bytes(12)

    plane = Haunted()
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    apply(host, request_for(policy(2)))
    plane.haunted = True
    with pytest.raises(ApplyError, match="1 entries of slot 1 read back differently"):
        apply(host, request_for(policy(3)))
    assert plane.root == Root(2)


def test_only_the_newest_contents_are_remembered() -> None:
    remembered = Remembered()
    for number in range(1, KEPT + 2):
        remembered.see(policy(number).contents)
    assert remembered.slot_of(policy(1).contents.config) is None
    assert remembered.slot_of(SlotConfig()) is None
    config = SlotConfig(7, digest=policy(2).contents.config.digest)
    found = remembered.slot_of(config)
    assert found is not None
    assert (found.config, found.maps) == (config, policy(2).contents.maps)


def test_altered_contents_are_not_remembered(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    plane.maps[1, PolicyMap.POLICY].popitem()
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(2)))
    assert host.remembered.slot_of(read_slot(plane, 1).config) is None


def test_contents_are_recognized_by_all_that_they_are() -> None:
    remembered, contents = Remembered(), policy(1).contents
    assert remembered.recognize(contents) is None
    remembered.see(contents)
    same = SlotContents({name: dict(entries) for name, entries in contents.maps.items()}, contents.config)
    recognized = remembered.recognize(same)
    assert recognized is not None
    assert (recognized.maps is contents.maps, recognized.config) == (True, contents.config)
    altered = {name: dict(entries) for name, entries in contents.maps.items()}
    altered[PolicyMap.POLICY].popitem()
    assert remembered.recognize(SlotContents(altered, contents.config)) is None
    logged = replace(contents.config, default_flags=EntryFlag.LOG)
    assert remembered.recognize(SlotContents(contents.maps, logged)) is None


def test_what_is_written_of_rules_is_the_same_when_it_was_written_before(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host, fresh = host_of(plane, tmp_path / "one"), host_of(FakeDataPlane(), tmp_path / "other")
    for number in (1, 2, 1):
        apply(host, request_for(policy(number)))
        apply(replace(fresh, remembered=Remembered()), request_for(policy(number)))
    for generation in (1, 2, 3):
        notes = [each.store.read_note(generation) for each in (host, fresh)]
        assert notes[0] is not None
        assert notes[0] == notes[1]
        assert notes[0].names == policy(2 - generation % 2).names


@pytest.mark.parametrize("broken", PolicyMap)
def test_a_map_that_cannot_be_read_back_is_an_error_whichever_it_is(broken: PolicyMap) -> None:
    class Broken(FakeDataPlane):
        def read_map(self, slot: int, name: PolicyMap) -> Reading:
            if name is broken:
                raise KernelError("no")
            return super().read_map(slot, name)

    plane = Broken()
    plane.loaded = plane.has_maps = True
    empty = SlotContents(NOTHING.maps, NOTHING.config)
    stage(plane, 1, empty, empty, 1)
    with pytest.raises(KernelError, match="no"):
        verify(plane, 1, empty, 1)
