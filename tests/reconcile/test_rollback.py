from __future__ import annotations

from pathlib import Path

import pytest
from reconcile.fake import FakeDataPlane, Fault, When
from reconcile.worlds import OPERATOR, host_of, policy, request_for

from microseg.abi import Root
from microseg.reconcile.apply import apply
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.errors import ApplyError, GuardError, ReconcileError
from microseg.reconcile.records import Operation, Outcome
from microseg.reconcile.rollback import roll_back
from microseg.reconcile.transaction import Host


@pytest.fixture
def host(plane: FakeDataPlane, tmp_path: Path) -> Host:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    apply(host, request_for(policy(2)))
    plane.calls.clear()
    return host


def test_a_rollback_is_one_store_and_reads_no_entry(plane: FakeDataPlane, host: Host) -> None:
    result = roll_back(host, OPERATOR)

    assert plane.root == Root(1)
    assert plane.calls.count("write_root") == 1
    assert not {"read_map", "write_entries", "write_config"} & set(plane.calls)
    assert (result.before, result.generation) == (2, 1)
    assert (result.before_revision, result.revision) == (policy(2).revision, policy(1).revision)


def test_a_rollback_reads_no_names(host: Host) -> None:
    for path in (host.store.root / "generations").iterdir():
        path.write_text("garbage")
    result = roll_back(host, OPERATOR)
    assert (result.before_revision, result.revision) == (policy(2).revision, policy(1).revision)


def test_a_rollback_is_recorded(host: Host) -> None:
    roll_back(host, OPERATOR)

    state = host.store.read_state()
    assert state.current is not None
    assert (state.current.generation, state.current.operation) == (1, Operation.ROLLBACK)
    assert state.current.revision == policy(1).revision
    assert state.previous is None
    last = host.store.read_history()[-1]
    assert (last.operation, last.outcome, last.generation) == (Operation.ROLLBACK, Outcome.DONE, 1)
    assert "generation 2" in last.detail


def test_a_second_rollback_does_not_go_forward_again(plane: FakeDataPlane, host: Host) -> None:
    roll_back(host, OPERATOR)

    with pytest.raises(GuardError, match="which is newer and was rolled back"):
        roll_back(host, OPERATOR)
    assert plane.root == Root(1)


def test_there_is_no_way_back_from_the_first_apply(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))

    with pytest.raises(GuardError, match="holds no whole policy"):
        roll_back(host, OPERATOR)
    assert plane.root == Root(1)


def test_there_is_no_way_back_from_nothing(plane: FakeDataPlane, tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="no policy is in force"):
        roll_back(host_of(plane, tmp_path), OPERATOR)


def test_an_apply_after_a_rollback_goes_on_with_new_numbers(plane: FakeDataPlane, host: Host) -> None:
    roll_back(host, OPERATOR)
    result = apply(host, request_for(policy(3)))

    assert plane.root == Root(4)
    assert result.known.revision == policy(1).revision
    assert roll_back(host, OPERATOR).generation == 1


def test_a_rollback_ends_an_unconfirmed_apply(plane: FakeDataPlane, host: Host) -> None:
    plane.root = Root(2, plane.boot_s + 60)
    roll_back(host, OPERATOR)
    assert plane.root == Root(1)


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("method", ["write_root", "wait_for_readers"])
def test_a_failed_rollback_leaves_the_policy_in_force(
    plane: FakeDataPlane, host: Host, method: str, when: When
) -> None:
    before = plane.enforced()
    roll_back(host, OPERATOR)
    call = plane.calls.index(method)
    plane.root = before["root"]
    plane.calls.clear()
    plane.faults = [Fault(call, when)]

    with pytest.raises(ApplyError, match="flip") as caught:
        roll_back(host, OPERATOR)

    assert plane.enforced() == before
    assert "generation 2 is in force, as before" in caught.value.stands


def test_an_unreadable_kernel_is_no_rollback(plane: FakeDataPlane, host: Host) -> None:
    plane.faults = [Fault(0)]
    with pytest.raises(KernelError):
        roll_back(host, OPERATOR)
    assert plane.root == Root(2)


def test_a_rollback_that_cannot_be_recorded_stands_and_says_so(
    plane: FakeDataPlane, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("microseg.reconcile.durable.write", full)
    with pytest.raises(
        ReconcileError, match=r"generation 1 is in force.*could not be recorded.*No space left"
    ):
        roll_back(host, OPERATOR)
    assert plane.root == Root(1)
