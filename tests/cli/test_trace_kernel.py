"""Policy and kernel about the same packet, on a real kernel."""

from __future__ import annotations

import json

import jsonschema
import pytest
from cli.machine import Machine
from cli.terminal_session import SHOP
from tree import ROOT

from microseg.abi import PolicyMap, decode_policy_value
from microseg.kernel.dataplane import PinnedDataPlane

pytestmark = pytest.mark.kernel

SCHEMA = json.loads((ROOT / "docs" / "schemas" / "microseg-trace-1.schema.json").read_text())
ALLOWED = "10.1.1.1 -> 10.1.3.10 : tcp/5432"
OTHER = "10.1.1.1 -> 10.1.3.10 : tcp/9000"


def alter_an_entry(machine: Machine) -> None:
    """Take a rule out of the live slot, as nobody should."""
    plane = PinnedDataPlane(machine.pin_dir)
    slot = plane.read_root().slot
    entries = plane.read_map(slot, PolicyMap.POLICY).entries()
    victim = next(
        key for key, value in entries.items() if decode_policy_value(value)[0] == 1 and any(key[8:])
    )
    plane.write_entries(slot, PolicyMap.POLICY, {}, [victim])
    plane.close()


@pytest.mark.usefixtures("loaded_machine")
def test_policy_and_kernel_side_by_side(machine: Machine) -> None:
    commit = machine.commit("the first")[:10]
    machine.expect(0, "apply", "-i", "db0")

    lines = machine.expect(0, "trace", ALLOWED).splitlines()
    shown = {line.split()[0]: line.split(None, 1)[1].split("  ", 1) for line in lines[2:-2]}
    assert lines[0] == f"{ALLOWED} from 40000"
    assert lines[-1] == "They agree."
    assert [each.strip() for each in shown["from"]] == [
        f"{commit} (the first)",
        f"generation 1, {commit} (the first)",
    ]
    for station in ("source", "target", "service", "probes", "precedence", "verdict", "rule", "at"):
        policy, kernel = (each.strip() for each in shown[station])
        assert policy == kernel, station
    assert shown["rule"][0].strip() == "allow web -> db : tcp/5432"

    machine.write(SHOP.replace("tcp/5432 log", "tcp/9000 log"))
    same = machine.expect(0, "trace", "10.1.1.1 -> 10.1.3.10 : udp/1")
    assert "The kernel has another policy in force (microseg plan), but they agree about this" in same
    assert "and they differ: verdict, log." in machine.expect(1, "trace", OTHER)

    machine.write(SHOP)
    alter_an_entry(machine)
    differing = json.loads(machine.expect(1, "trace", ALLOWED, "--format", "json"))
    jsonschema.validate(differing, SCHEMA)
    assert (differing["same_policy"], differing["agree"]) == (True, False)
    assert "verdict" in differing["differences"]
    assert "its entries were changed by somebody else" in differing["conclusion"]
    assert differing["kernel"]["generation"] == 1
