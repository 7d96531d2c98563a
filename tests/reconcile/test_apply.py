from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from reconcile.fake import FakeDataPlane
from reconcile.worlds import OPERATOR, contents_of, host_of, policy, request_for

from microseg.abi import PolicyMap, Root
from microseg.diagnostics import Code, Diagnostic
from microseg.reconcile.apply import STEPS, StepName, apply, propose
from microseg.reconcile.dataplane import Hook, Sizing
from microseg.reconcile.desired import Desired
from microseg.reconcile.errors import (
    ApplyError,
    CapacityError,
    GuardError,
    NoInterfaceError,
    PolicyError,
)
from microseg.reconcile.observed import read_slot
from microseg.reconcile.records import Names, Operation, Outcome
from microseg.reconcile.revision import Revision
from microseg.reconcile.rollback import roll_back
from microseg.reconcile.transaction import Request
from microseg.source import Span

WRITING = {"load", "unload", "attach", "detach", "write_root", "write_config", "write_entries"}


def test_the_first_apply_loads_attaches_and_switches(plane: FakeDataPlane, tmp_path: Path) -> None:
    result = apply(host_of(plane, tmp_path), request_for(policy(1), ["eth1", "eth0"]))

    assert plane.root == Root(1)
    assert plane.live_maps() == policy(1).contents.maps
    assert plane.configs[1] == replace(policy(1).contents.config, generation=1)
    assert plane.attached == {"eth0": Hook.TCX, "eth1": Hook.TCX}
    assert result.generation == 1
    assert not result.can_roll_back


def test_the_policy_is_staged_and_read_back_before_anything_is_attached_or_switched(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    apply(host_of(plane, tmp_path), request_for(policy(1)))

    calls = plane.calls
    last_read = max(i for i, name in enumerate(calls) if name == "read_map")
    last_write = max(i for i, name in enumerate(calls) if name == "write_entries")
    assert last_write < last_read < calls.index("attach") < calls.index("write_root")
    assert calls.index("write_root") < len(calls) - 1 - calls[::-1].index("wait_for_readers")


def test_a_change_goes_to_the_other_slot_and_leaves_the_old_one_whole(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    result = apply(host, request_for(policy(2)))

    assert plane.root == Root(2)
    assert plane.live_maps() == policy(2).contents.maps
    assert read_slot(plane, 1).maps == policy(1).contents.maps
    assert result.can_roll_back
    assert result.staged == policy(2).contents.entry_count()


def test_only_differences_to_the_standby_slot_are_written(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    for number in (5, 5, 6):
        apply(host, request_for(policy(number)))
    staged = apply(host, request_for(policy(5))).staged
    assert staged == 0, "the standby slot still held policy 5"


def test_applying_the_same_again_changes_nothing(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    before = plane.enforced()
    plane.calls.clear()

    result = apply(host, request_for(policy(1)))

    assert result.plan.is_empty
    assert plane.enforced() == before
    assert not set(plane.calls) & WRITING
    assert [entry.outcome for entry in host.store.read_history()] == [Outcome.DONE]


def test_a_new_revision_of_the_same_entries_is_recorded_without_touching_the_kernel(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    before = plane.enforced()
    moved = replace(policy(1), revision=Revision("f" * 40, "a comment"))

    assert apply(host, request_for(moved)).plan.is_empty

    assert plane.enforced() == before
    state = host.store.read_state()
    assert state.current is not None
    assert state.current.revision == moved.revision
    note = host.store.read_note(1)
    assert note is not None
    assert note.revision == moved.revision
    assert host.store.read_history()[-1].outcome is Outcome.UNCHANGED


def test_an_apply_is_recorded(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    apply(host, request_for(policy(2)))

    state = host.store.read_state()
    assert state.current is not None
    assert state.previous is not None
    assert (state.current.generation, state.previous.generation) == (2, 1)
    assert state.current.revision == policy(2).revision
    note = host.store.read_note(2)
    assert note is not None
    assert note.names == policy(2).names
    assert [(it.operation, it.outcome, it.generation) for it in host.store.read_history()] == [
        (Operation.APPLY, Outcome.DONE, 1),
        (Operation.APPLY, Outcome.DONE, 2),
    ]


def test_an_unconfirmed_apply_keeps_others_out(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    plane.root = Root(1, plane.boot_s + 30)
    before = plane.enforced()

    with pytest.raises(GuardError, match="another 30 s"):
        apply(host, request_for(policy(2)))
    assert plane.enforced() == before


def test_after_the_deadline_the_other_slot_is_live_and_an_apply_goes_on_from_there(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    apply(host, request_for(policy(2)))
    plane.root = Root(2, plane.boot_s)

    result = apply(host, request_for(policy(3)))

    assert result.plan.generation == 1
    assert plane.root == Root(4)
    assert plane.live_maps() == policy(3).contents.maps
    assert read_slot(plane, 1).maps == policy(1).contents.maps


def test_the_first_apply_of_all_needs_an_interface(plane: FakeDataPlane, tmp_path: Path) -> None:
    with pytest.raises(NoInterfaceError):
        apply(host_of(plane, tmp_path), request_for(policy(1), []))
    assert not plane.loaded


def test_a_policy_that_does_not_fit_is_refused_before_anything_is_loaded(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    desired = Desired(contents_of({PolicyMap.POLICY: dict.fromkeys(range(9), 1)}))
    request = replace(request_for(desired), sizing=Sizing(rules=8))

    with pytest.raises(CapacityError, match=r"MS403.*policy needs 9 entries and holds 8"):
        apply(host_of(plane, tmp_path), request)
    assert not plane.loaded


def test_the_larger_of_the_capacities_there_are_and_those_configured_counts(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, replace(request_for(policy(1)), sizing=Sizing(rules=8)))
    before = plane.enforced()
    seen: list[int] = []

    def compile_large(capacities: object) -> Desired:
        assert isinstance(capacities, dict)
        seen.append(capacities[PolicyMap.POLICY])
        return Desired(contents_of({PolicyMap.POLICY: dict.fromkeys(range(9), 1)}))

    small = Sizing(rules=4)
    with pytest.raises(CapacityError, match=r"needs 9 entries and holds 8"):
        apply(host, Request(compile_large, OPERATOR, sizing=small))
    with pytest.raises(CapacityError, match=r"needs 9 entries and holds 8"):
        apply(host, Request(compile_large, OPERATOR, keep_program=True))
    assert plane.enforced() == before
    result = apply(host, Request(compile_large, OPERATOR, sizing=Sizing(rules=16)))
    assert seen == [8, 8, 16]
    assert result.plan.upgrade
    assert plane.sizing.rules == 16


def test_failing_policy_tests_are_a_guard_with_its_own_flag(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    failure = Diagnostic.of(Code.FAILED_TEST, Span.of_file("a.mseg"), "it fails")
    request = request_for(replace(policy(1), failures=(failure,)))

    with pytest.raises(GuardError, match="it fails"):
        apply(host, request)
    assert not plane.loaded
    apply(host, replace(request, allow_failing_tests=True))
    assert plane.root == Root(1)


def test_another_hook_replaces_the_one_that_is_attached(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1), ["eth0", "eth1"]))
    apply(host, replace(request_for(policy(1)), hook=Hook.CLSACT))
    assert plane.attached == {"eth0": Hook.CLSACT, "eth1": Hook.TCX}
    assert apply(host, request_for(policy(1))).plan.is_empty, "nobody asked for another hook"


def test_a_wrong_policy_touches_nothing_and_is_in_the_history(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    before = plane.enforced()

    def refuse(_: object) -> Desired:
        raise PolicyError([], {})

    with pytest.raises(PolicyError):
        apply(host, Request(refuse, OPERATOR))

    assert plane.enforced() == before
    last = host.store.read_history()[-1]
    assert (last.outcome, last.generation) == (Outcome.REFUSED, 1)


def test_a_missing_interface_takes_the_whole_first_apply_back(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)

    with pytest.raises(ApplyError, match="there is no interface eth9") as caught:
        apply(host, request_for(policy(1), ["eth0", "eth9"]))

    assert caught.value.step == "attach"
    assert "no policy is in force" in caught.value.stands
    assert not plane.loaded
    assert plane.attached == {}
    assert host.store.read_note(1) is None


def test_a_missing_interface_leaves_the_policy_in_force(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    apply(host, request_for(policy(2)))
    before = plane.enforced()
    plane.calls.clear()

    with pytest.raises(ApplyError) as caught:
        apply(host, request_for(policy(3), ["eth9"]))

    assert plane.enforced() == before
    assert "write_root" not in plane.calls, "no packet was judged by the new policy for a moment"
    assert "generation 2" in caught.value.stands
    assert "policy 2" in caught.value.stands
    assert roll_back(host, OPERATOR).generation == 1, "the way back still stands"


def test_numbers_go_on_after_everything_was_unloaded(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    apply(host, request_for(policy(2)))
    plane.unload()

    assert apply(host, request_for(policy(1))).generation == 3


def test_a_proposal_takes_no_lock_and_writes_nothing(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)

    tx = propose(host, request_for(policy(1)))

    assert not tx.plan.is_empty
    assert tx.plan.load
    assert list(tmp_path.iterdir()) == []
    assert not plane.loaded


def test_entries_altered_by_somebody_else_are_replaced(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    plane.maps[1, PolicyMap.POLICY].popitem()

    result = apply(host, request_for(policy(1)))

    assert len(result.plan.changes) == 1
    assert plane.live_maps() == policy(1).contents.maps


def test_names_of_a_generation_survive_a_crash_before_the_record(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    killed = [step for step in STEPS if step.name is not StepName.RECORD]
    apply(host, request_for(policy(2)), killed)

    known = propose(host, request_for(policy(2))).known

    assert known.revision == policy(2).revision
    assert known.names == policy(2).names
    assert known.names != Names()
