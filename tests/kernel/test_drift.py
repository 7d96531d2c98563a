"""Drift on the real kernel: what somebody did to entries, programs and filters is named and healed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from kernel.fault_matrix import Instance, request_for
from kernel.laboratory import run
from kernel.sizing import SIZING

from microseg.abi import PolicyMap, Root, decode_policy_value
from microseg.abi_flow import Direction
from microseg.kernel.bpf import Descriptor, MapType, create_map, program_info
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.interfaces import interface_index
from microseg.kernel.links import Link, link_path
from microseg.kernel.maps import Map
from microseg.kernel.tcx import create_tcx_link, tcx_supported
from microseg.reconcile.dataplane import Hook
from microseg.reconcile.drift import Drift, Finding, read_drift

pytestmark = pytest.mark.only_tc
CABLE = "cable0"
POLICY = """group web = 10.1.1.0/24
group db = 10.1.3.10
policy shop {
  allow web -> db : tcp/5432
  deny any -> db
}
"""
NEEDS_TCX = pytest.mark.skipif(not tcx_supported(), reason="kernel without TCX")


@pytest.fixture
def instance(plane: PinnedDataPlane, namespace: None, tmp_path: Path) -> Iterator[Instance]:  # noqa: ARG001
    run("ip", "link", "add", CABLE, "type", "veth", "peer", "name", "cable1")
    made = Instance(plane, tmp_path)
    yield made
    plane.write_root(Root())
    plane.detach([CABLE])


def enforce(instance: Instance, hook: Hook | None = None) -> None:
    """Apply the policy, and see that nothing differs."""
    instance.apply(request_for(POLICY, (CABLE,), sizing=SIZING, hook=hook))
    assert read_drift(instance.host).findings == ()


def drifted(instance: Instance) -> Finding:
    (only,) = read_drift(instance.host).findings
    return only


def bpftool(*words: str) -> None:
    subprocess.run(["bpftool", *words], check=True, capture_output=True)


def octets(value: bytes) -> list[str]:
    return ["hex", *(f"{octet:02x}" for octet in value)]


def live_rule(instance: Instance) -> tuple[Path, bytes, bytes]:
    """Return the pin of the policy map in force, and its entry that allows."""
    slot = instance.plane.read_root().slot
    entries = instance.plane.read_map(slot, PolicyMap.POLICY).entries()
    key, value = next((key, it) for key, it in entries.items() if decode_policy_value(it)[2] == 1)
    return instance.plane._pin_dir / "maps" / PolicyMap.POLICY.in_slot(slot), key, value  # noqa: SLF001


def test_an_altered_entry_is_named_by_rule_and_line_and_healed_and_others_keep_theirs(
    instance: Instance, bpffs: Path
) -> None:
    theirs = bpffs / "theirs"
    with ExitStack() as stack:
        foreign = stack.enter_context(Map(create_map(MapType.HASH, 4, 4, 8)))
        foreign.pin(theirs)
        stack.callback(theirs.unlink)
        foreign.update(b"1234", b"5678")
        run("tc", "qdisc", "add", "dev", CABLE, "clsact")
        program = instance.plane._pin_dir / "programs" / "clock"  # noqa: SLF001
        add = ("dev", CABLE, "ingress", "prio", "50", "bpf", "da", "pinned", str(program))
        run("tc", "filter", "add", add)
        enforce(instance)
        pin, key, value = live_rule(instance)
        denying = value[:8] + bytes([2]) + value[9:]
        bpftool("map", "update", "pinned", str(pin), "key", *octets(key), "value", *octets(denying))

        found = drifted(instance)
        assert found.drift is Drift.ENTRY_ALTERED
        assert [(rule.place, rule.text) for rule in found.rules] == [
            ("shop.mseg:4", "allow web -> db : tcp/5432")
        ]
        enforce(instance)
        assert live_rule(instance)[2] == value
        assert foreign.entries() == {b"1234": b"5678"}
        assert "ms_clock" in run("tc", "filter", "show", "dev", CABLE, "ingress")


def test_entries_removed_and_added_are_found_and_healed(instance: Instance) -> None:
    enforce(instance)
    pin, key, value = live_rule(instance)
    with Map.pinned(pin) as policy:
        policy.delete(key)
        assert drifted(instance).drift is Drift.ENTRY_REMOVED
        policy.update(bytes(12), value)
    assert {it.drift for it in read_drift(instance.host).findings} == {Drift.ENTRY_REMOVED, Drift.ENTRY_ADDED}
    enforce(instance)


def test_a_slot_that_misstates_itself_is_found_and_healed(instance: Instance) -> None:
    enforce(instance)
    slot = instance.plane.read_root().slot
    config = instance.plane.read_config(slot)
    instance.plane.write_config(slot, replace(config, digest=b"\7" * 32))
    assert (drifted(instance).drift, drifted(instance).detail) == (
        Drift.SLOT,
        "has another digest than was applied",
    )
    enforce(instance)
    config = instance.plane.read_config(slot := instance.plane.read_root().slot)
    instance.plane.write_config(slot, replace(config, generation=config.generation + 2))
    assert "every packet is dropped" in drifted(instance).detail
    enforce(instance)


@NEEDS_TCX
def test_a_filter_that_is_missing_or_another_one_is_found_and_healed(instance: Instance) -> None:
    enforce(instance, Hook.TCX)
    links = instance.plane._pin_dir / "links"  # noqa: SLF001
    path = link_path(links, interface_index(CABLE), Hook.TCX, Direction.EGRESS)
    with Link.pinned(path) as link, instance.plane.program("clock") as theirs:
        link.update(theirs.fd)
        found = drifted(instance)
        assert (found.drift, found.subject) == (Drift.FILTER_REPLACED, CABLE)
        assert "egress, tcx: program" in found.detail
        enforce(instance, Hook.TCX)
        link.detach()
    assert (drifted(instance).drift, drifted(instance).subject) == (Drift.FILTER_MISSING, CABLE)
    instance.apply(request_for(POLICY, (), sizing=SIZING))
    assert read_drift(instance.host).findings == (), "it comes back although nobody names the interface"


@NEEDS_TCX
def test_a_program_before_ours_is_told_and_stays(instance: Instance) -> None:
    enforce(instance, Hook.TCX)
    with instance.plane.program("clock") as theirs:
        first = create_tcx_link(theirs.fd, interface_index(CABLE), Direction.INGRESS)
        with first:
            number = program_info(theirs.fd).id
            found = drifted(instance)
            assert (found.drift, found.subject) == (Drift.FILTER_SHADOWED, CABLE)
            assert found.detail == f"ingress: program {number} (tcx) comes before ours"
            instance.apply(request_for(POLICY, (CABLE,), sizing=SIZING))
            assert drifted(instance).drift is Drift.FILTER_SHADOWED, "it isn't ours"


def test_a_filter_at_a_lower_preference_is_told_and_stays(instance: Instance) -> None:
    enforce(instance, Hook.CLSACT)
    program = instance.plane._pin_dir / "programs" / "clock"  # noqa: SLF001
    add = ("dev", CABLE, "egress", "prio", "1", "bpf", "da", "pinned", str(program))
    run("tc", "filter", "add", add)
    found = drifted(instance)
    assert (found.drift, found.detail) == (
        Drift.FILTER_SHADOWED,
        "egress: a bpf filter of preference 1 comes before ours",
    )
    run("tc", "filter", "del", "dev", CABLE, "egress", "prio", "1")


def test_programs_that_are_not_those_loaded_are_found(instance: Instance) -> None:
    enforce(instance)
    folder = instance.plane._pin_dir / "programs"  # noqa: SLF001
    with Map.pinned(folder / "jumps") as jumps, instance.plane.program("clock") as clock:
        right = jumps.lookup((1).to_bytes(4, sys.byteorder))
        jumps.update((1).to_bytes(4, sys.byteorder), clock.fd.to_bytes(4, sys.byteorder))
        found = drifted(instance)
        assert (found.drift, found.subject) == (Drift.PROGRAM, "quote")
        with Descriptor.pinned(folder / "quote") as quote:
            jumps.update((1).to_bytes(4, sys.byteorder), quote.fd.to_bytes(4, sys.byteorder))
        assert jumps.lookup((1).to_bytes(4, sys.byteorder)) == right
    tags = instance.host.store.read_tags()
    instance.host.store.write_tags({**tags, "egress": "0" * 16})
    assert (drifted(instance).drift, drifted(instance).subject) == (Drift.PROGRAM, "egress")
    with Descriptor.pinned(folder / "clock") as clock:
        (folder / "clock").unlink()
        instance.host.store.write_tags(tags)
        assert (drifted(instance).drift, drifted(instance).subject) == (Drift.PIN_MISSING, "clock")
        clock.pin(folder / "clock")
