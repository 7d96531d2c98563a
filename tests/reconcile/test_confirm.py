from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from reconcile.fake import FakeDataPlane
from reconcile.worlds import OPERATOR, host_of, policy, request_for

from microseg.abi import Root, SlotConfig
from microseg.reconcile.apply import apply
from microseg.reconcile.confirm import confirm
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.errors import GuardError
from microseg.reconcile.records import Operation, Outcome
from microseg.reconcile.rollback import roll_back
from microseg.reconcile.transaction import Host, Request


def within(number: int, seconds: int = 30) -> Request:
    return replace(request_for(policy(number)), confirm_within_s=seconds)


@pytest.fixture
def host(plane: FakeDataPlane, tmp_path: Path) -> Host:
    """Generation 1 is in force; 2 waits to be confirmed."""
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    assert apply(host, within(2)).confirm_within_s == 30
    return host


def confirmed(host: Host) -> int:
    state = host.store.read_state()
    return state.confirmed.generation if state.confirmed else 0


def test_the_deadline_comes_with_the_switch_and_leaves_all_the_time(plane: FakeDataPlane, host: Host) -> None:
    assert plane.root == Root(2, plane.boot_s + 31)
    assert confirmed(host) == 1


def test_a_confirmed_apply_stays(plane: FakeDataPlane, host: Host) -> None:
    result = confirm(host, OPERATOR)
    assert (result.generation, result.revision, result.left_s) == (2, policy(2).revision, 31)
    assert plane.root == Root(2)
    assert confirmed(host) == 2
    last = host.store.read_history()[-1]
    assert (last.operation, last.outcome, last.generation) == (Operation.CONFIRM, Outcome.DONE, 2)
    assert confirm(host, OPERATOR).left_s == 0, "confirming again is no mistake"


def test_while_it_waits_no_other_apply_is_begun(host: Host) -> None:
    with pytest.raises(GuardError, match="generation 2 waits for its confirmation"):
        apply(host, request_for(policy(3)))
    confirm(host, OPERATOR)
    assert apply(host, request_for(policy(3))).generation == 3


def test_past_the_deadline_the_old_policy_is_in_force_and_an_apply_goes_on_from_there(
    plane: FakeDataPlane, host: Host
) -> None:
    plane.boot_s += 31
    assert plane.live_maps() == policy(1).contents.maps
    with pytest.raises(
        GuardError, match=r"too late: generation 2 was not confirmed.*generation 1 is in force"
    ):
        confirm(host, OPERATOR)
    with pytest.raises(GuardError, match="newer and was rolled back"):
        roll_back(host, OPERATOR)

    result = apply(host, request_for(policy(3)))

    assert (result.plan.generation, result.generation) == (1, 4)
    assert plane.root == Root(4)
    assert plane.live_maps() == policy(3).contents.maps
    assert confirmed(host) == 4
    roll_back(host, OPERATOR)
    assert plane.live_maps() == policy(1).contents.maps


def test_applying_the_policy_that_came_back_records_it(plane: FakeDataPlane, host: Host) -> None:
    plane.boot_s += 31
    assert apply(host, request_for(policy(1))).plan.is_empty
    state = host.store.read_state()
    assert state.current is not None
    assert (state.current.generation, confirmed(host)) == (1, 1)


def test_a_rollback_does_not_wait_for_the_deadline(plane: FakeDataPlane, host: Host) -> None:
    assert roll_back(host, OPERATOR).generation == 1
    assert plane.root == Root(1)
    assert confirmed(host) == 1


def test_the_way_back_of_the_first_apply_is_no_policy(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, within(1))
    assert confirmed(host) == 0
    plane.boot_s += 31
    assert plane.live_generation() == 0
    with pytest.raises(GuardError, match="no policy is in force: everything passes"):
        confirm(host, OPERATOR)
    assert apply(host, within(1)).generation == 3

    assert roll_back(host, OPERATOR).generation == 0

    assert plane.root == Root()
    assert plane.attached
    assert host.store.read_state().current is None
    assert host.store.read_history()[-1].generation == 0
    with pytest.raises(GuardError, match="nothing to confirm"):
        confirm(host, OPERATOR)
    assert apply(host, request_for(policy(2))).generation == 5


def test_nothing_changes_so_nothing_waits(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    assert apply(host, within(1)).confirm_within_s == 0
    assert (plane.root, confirmed(host)) == (Root(1), 1)


def test_there_is_no_promise_to_go_back_to_a_slot_that_is_not_whole(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    plane.configs[1] = SlotConfig()
    with pytest.raises(GuardError, match="not whole"):
        apply(host, within(2))
    apply(host, request_for(policy(2)))


def test_a_confirmation_the_kernel_refuses_still_waits(
    plane: FakeDataPlane, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Root) -> None:
        raise KernelError("refused")

    with monkeypatch.context() as patched:
        patched.setattr(plane, "write_root", refuse)
        with pytest.raises(KernelError):
            confirm(host, OPERATOR)
    assert plane.root.deadline_s
    assert confirmed(host) == 1
    confirm(host, OPERATOR)
