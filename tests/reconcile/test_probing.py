from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from reconcile.fake import FakeDataPlane
from reconcile.worlds import host_of, request_for

from microseg.abi import PolicyMap
from microseg.analysis.examine import examine
from microseg.reconcile.apply import STEPS, Step, StepName, apply
from microseg.reconcile.desired import Desired, desired_of
from microseg.reconcile.errors import ApplyError
from microseg.reconcile.transaction import Transaction
from microseg.source import MemoryTree

TODAY = date(2026, 1, 1)
BEFORE = "group a = 10.0.0.0/8\npolicy p { allow a -> a : tcp/80 }"
AFTER = "group a = 10.0.0.0/8\npolicy p {\n  allow a -> a : tcp/80\n  deny a -> any : tcp/22 log\n}"


def compiled(text: str) -> Desired:
    return desired_of(examine(MemoryTree({"p.mseg": text.encode()}), TODAY), None)


def planting(step: Step) -> Step:
    """Return a step behind which somebody turns each deny in the standby slot into an allow."""

    def run(tx: Transaction) -> None:
        step.run(tx)
        plane = tx.host.plane
        assert isinstance(plane, FakeDataPlane)
        entries = plane.maps[tx.generation & 1, PolicyMap.POLICY]
        for key, value in entries.items():
            if value[8] == 2 and value[4:8] != bytes(4):
                entries[key] = value[:8] + b"\x01" + value[9:]

    return replace(step, run=run)


def test_a_wrong_entry_behind_the_verification_is_found_by_a_packet(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(compiled(BEFORE)))
    before = plane.enforced()
    sequence = [planting(step) if step.name is StepName.VERIFY else step for step in STEPS]

    with pytest.raises(ApplyError) as caught:
        apply(host, request_for(compiled(AFTER)), sequence)

    assert caught.value.step == "probe"
    assert ": tcp/22 from 49152 should get deny by deny a -> any : tcp/22 at p.mseg:4" in str(caught.value)
    assert "and would get allow by deny a -> any : tcp/22 at p.mseg:4" in str(caught.value)
    assert "generation 1 is in force, as before" in caught.value.stands
    assert plane.enforced() == before
    assert apply(host, request_for(compiled(AFTER))).generation == 2
