"""Programs, maps and attachments that don't belong together: after kills, and after somebody removed pins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from reconcile.fake import FakeDataPlane
from reconcile.worlds import host_of, policy, request_for

from microseg.abi import Root, SlotConfig
from microseg.reconcile.apply import STEPS, StepName, apply
from microseg.reconcile.dataplane import Hook, KernelError
from microseg.reconcile.errors import ApplyError
from microseg.reconcile.observed import read_slot
from microseg.reconcile.status import read_status


def test_a_failure_gives_an_interface_its_hook_back(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    before = plane.enforced()

    def fail(_: object) -> None:
        raise KernelError("injected")

    sequence = [replace(step, run=fail) if step.name is StepName.FLIP else step for step in STEPS]
    request = replace(request_for(policy(2), ["eth0", "eth1"]), hook=Hook.CLSACT)
    with pytest.raises(ApplyError):
        apply(host, request, sequence)
    assert plane.enforced() == before


def test_lost_pins_are_loaded_again_without_an_end_of_enforcement(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    for number in (1, 2, 3):
        apply(host, request_for(policy(number), ["eth0", "eth1"]))
    plane.loaded = False
    assert [it.interface for it in read_status(host).observed.attachments] == ["eth0", "eth1"]

    result = apply(host, request_for(policy(4), []))

    assert result.plan.load
    assert [it.interface for it in result.plan.attach] == ["eth0", "eth1"], "with the new program"
    assert plane.root == Root(4)
    assert plane.live_maps() == policy(4).contents.maps
    assert read_slot(plane, 1).maps == policy(3).contents.maps


def test_a_failure_while_lost_pins_are_loaded_again_ends_nothing(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    before = plane.enforced()
    plane.loaded = False
    with pytest.raises(ApplyError):
        apply(host, request_for(policy(2), ["eth0", "eth9"]))
    assert plane.enforced() == before


def test_maps_that_a_killed_detach_left_are_used_again(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    plane.loaded, plane.attached = False, {}

    apply(host, request_for(policy(2)))

    assert plane.root == Root(2), "slot 1 is what the root word still names"
    assert plane.live_maps() == policy(2).contents.maps


def test_a_scribbled_config_is_replaced(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    config = plane.read_config

    def unreadable(slot: int) -> SlotConfig:
        if slot == 1:
            raise ValueError("9 is not a valid Verdict")
        return config(slot)

    plane.read_config = unreadable  # type: ignore[method-assign]
    assert read_status(host).altered
    apply(host, request_for(policy(1)))
    assert plane.root == Root(2)
    assert plane.live_maps() == policy(1).contents.maps
