"""Every call of the kernel and every step fails once, before and after its effect; some processes die."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from reconcile.fake import FakeDataPlane, Fault, When
from reconcile.worlds import OPERATOR, host_of, policy, request_for

from microseg.abi import Root
from microseg.abi_settings import Settings
from microseg.reconcile.apply import STEPS, StepName, apply
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.errors import (
    ApplyError,
    GuardError,
)
from microseg.reconcile.observed import read_slot
from microseg.reconcile.rollback import roll_back
from microseg.reconcile.transaction import Host, Request, Transaction

AFTERWARDS = 3
"""Calls of an apply that is done: what can't be cleaned up then is cleaned up by the next one."""


@pytest.mark.parametrize("when", When)
def test_a_failure_of_any_call_leaves_the_policy_in_force(when: When, tmp_path: Path) -> None:
    probe = FakeDataPlane()
    host = host_of(probe, tmp_path / "probe")
    for number in (1, 2, 3):
        probe.calls.clear()
        apply(host, request_for(policy(number), ["eth0"] if number < 3 else ["eth0", "eth1"]))
    total = len(probe.calls) - AFTERWARDS
    assert total > 20

    for call in range(total):
        plane = FakeDataPlane()
        host = host_of(plane, tmp_path / f"{when.value}{call}")
        apply(host, request_for(policy(1)))
        apply(host, request_for(policy(2)))
        before = plane.enforced()
        standby = read_slot(plane, 1)
        plane.calls.clear()
        plane.faults = [Fault(call, when)]

        with pytest.raises((ApplyError, KernelError)) as caught:
            apply(host, request_for(policy(3), ["eth0", "eth1"]))

        assert plane.enforced() == before, f"call {call}: {plane.calls[call]}"
        if isinstance(caught.value, ApplyError):
            assert caught.value.leftovers == ()
        if "write_root" not in plane.calls:
            assert read_slot(plane, 1) == standby
        plane.faults = []
        apply(host, request_for(policy(3), ["eth0", "eth1"]))
        assert plane.live_maps() == policy(3).contents.maps


@pytest.mark.parametrize("when", When)
def test_a_failure_of_any_call_takes_the_first_apply_back(when: When, tmp_path: Path) -> None:
    probe = FakeDataPlane()
    apply(host_of(probe, tmp_path / "probe"), request_for(policy(1)))

    for call in range(len(probe.calls) - AFTERWARDS):
        plane = FakeDataPlane()
        host = host_of(plane, tmp_path / f"{when.value}{call}")
        plane.faults = [Fault(call, when)]
        with pytest.raises((ApplyError, KernelError)):
            apply(host, request_for(policy(1)))
        assert not plane.loaded, f"call {call}: {plane.calls[call]}"
        assert plane.attached == {}
        plane.faults = []
        apply(host, request_for(policy(1)))
        assert plane.live_maps() == policy(1).contents.maps


@pytest.mark.parametrize("name", [step.name for step in STEPS if step.name is not StepName.LOAD])
@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize(
    "error", [KernelError("injected"), OSError(28, "No space left"), KeyboardInterrupt()]
)
def test_a_failure_of_any_step_leaves_the_policy_in_force(
    name: StepName, when: When, error: BaseException, tmp_path: Path
) -> None:
    plane = FakeDataPlane()
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    before = plane.enforced()
    step = next(step for step in STEPS if step.name is name)

    def fail(tx: object) -> None:
        if when is When.AFTER:
            step.run(tx)  # type: ignore[arg-type]  # the transaction's type is the step's business
        raise error

    broken = replace(step, run=fail)
    sequence = [broken if it.name is name else it for it in STEPS]
    request = replace(request_for(policy(2), ["eth0", "eth1"]), settings=Settings(events_per_s=5))

    with pytest.raises((ApplyError, KernelError, OSError, KeyboardInterrupt)):
        apply(host, request, sequence)

    assert plane.enforced() == before
    apply(host, request)
    assert plane.live_maps() == policy(2).contents.maps


def test_what_could_not_be_taken_back_is_told(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    apply(host, request_for(policy(2)))
    plane.calls.clear()
    apply(host, request_for(policy(3)))
    flip = plane.calls.index("write_root")
    plane.calls.clear()
    plane.faults = [Fault(flip + 1), Fault(flip + 2)]

    with pytest.raises(ApplyError) as caught:
        apply(host, request_for(policy(4)))

    assert caught.value.leftovers == ("flip: injected",)
    assert "generation 4 is in force, not 3 as before" in caught.value.stands


def test_a_slot_that_reads_back_differently_never_becomes_visible(tmp_path: Path) -> None:
    class Forgetful(FakeDataPlane):
        def write_entries(self, slot, name, upserts, deletions):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            upserts = dict(list(upserts.items())[1:])
            super().write_entries(slot, name, upserts, deletions)

    plane = Forgetful()
    with pytest.raises(ApplyError, match="2 entries of slot 1 read back differently") as caught:
        apply(host_of(plane, tmp_path), request_for(policy(1)))
    assert caught.value.step == "verify"
    assert not plane.loaded
    assert not list((tmp_path / "state" / "generations").iterdir()), "of the note nothing is left"


def test_a_note_that_can_not_be_drafted_fails_where_it_is_needed(
    plane: FakeDataPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("microseg.reconcile.durable.draft", full)
    with pytest.raises(ApplyError, match="No space") as caught:
        apply(host_of(plane, tmp_path), request_for(policy(1)))
    assert caught.value.step == "note"
    assert not plane.loaded


def stage_and_die(host: Host, request: Request) -> None:
    """Run an apply up to its staging, as a process that is killed there: nothing is taken back."""
    tx = Transaction(host, request)
    for step in STEPS[: [step.name for step in STEPS].index(StepName.VERIFY)]:
        if step.when is None or step.when(tx.plan):
            with suppress(KernelError):
                step.run(tx)
    tx.lock.release()


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_killed_staging_is_no_way_back(plane: FakeDataPlane, tmp_path: Path, written: int) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    plane.calls.clear()
    apply(host, request_for(policy(2)))
    of_maps = [number for number, name in enumerate(plane.calls) if name == "write_entries"]
    plane.calls.clear()
    plane.faults = [Fault(number) for number in of_maps[written:]]
    stage_and_die(host, request_for(policy(3)))
    plane.faults = []

    with pytest.raises(GuardError, match="nothing to go back to"):
        roll_back(host, OPERATOR)
    assert plane.live_maps() == policy(2).contents.maps
    apply(host, request_for(policy(3)))
    assert plane.root == Root(5)
    assert plane.live_maps() == policy(3).contents.maps


def test_a_generation_that_judged_packets_is_never_numbered_again(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    apply(host, request_for(policy(2)))
    plane.calls.clear()
    apply(host, request_for(policy(3)))
    wait = plane.calls.index("write_root") + 1
    plane.calls.clear()
    plane.faults = [Fault(wait)]
    with pytest.raises(ApplyError):
        apply(host, request_for(policy(4)))
    plane.faults = []

    assert plane.root == Root(3)
    assert apply(host, request_for(policy(5))).generation == 6, "4 was in force for a moment"
