"""Settings of microseg.toml as an apply brings them into the kernel."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from kernel.laboratory import Laboratory
from kernel.sizing import SIZING
from scapy.layers.l2 import Ether

from microseg import abi
from microseg.abi_outcome import Outcome
from microseg.abi_settings import Settings
from microseg.compiler.lower import lower
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.policy.rules import Action, Default, Ruleset
from microseg.reconcile.apply import apply
from microseg.reconcile.desired import Desired
from microseg.reconcile.records import Names
from microseg.reconcile.state import StateStore
from microseg.reconcile.transaction import Host, Operator, Request

pytestmark = [pytest.mark.only_tc, pytest.mark.compiles]
LLDP = Ether(dst="01:80:c2:00:00:0e", type=0x88CC) / bytes(46)


@pytest.mark.usefixtures("namespace")
def test_an_apply_sets_the_program_up_and_sets_it_otherwise(bpffs: Path, tmp_path: Path) -> None:
    desired = Desired(abi.encode(lower(Ruleset((), Default(Action.DENY)))), Names(), None)
    plane = PinnedDataPlane(bpffs / "tuning")
    host = Host(plane, StateStore(tmp_path / "state"), tmp_path / "run", lambda: datetime.now(UTC))
    operator = Operator("root", "microseg apply")
    chosen = Settings(ethertypes=(0x88CC,), events_per_s=7)
    try:
        for settings, outcome in ((chosen, Outcome.PASS_ETHERTYPE), (Settings(), Outcome.DROP_ETHERTYPE)):
            request = Request(lambda _: desired, operator, ("lo",), sizing=SIZING, settings=settings)
            result = apply(host, request)
            assert result.generation == 1
            assert plane.read_settings().events_per_s == settings.events_per_s
            assert plane.read_settings().hz > 0
            assert Laboratory(plane).outcome(LLDP) is outcome
            assert apply(host, request).plan.is_empty
    finally:
        plane.unload()
