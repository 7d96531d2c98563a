"""Drift without a kernel: what is compared when records are missing, and what becomes of each kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconcile.fake import FakeDataPlane
from reconcile.worlds import host_of, policy, request_for

from microseg.abi import NO_DIGEST, PolicyMap, Root
from microseg.reconcile.apply import apply
from microseg.reconcile.dataplane import Flaw, Irregularity
from microseg.reconcile.drift import Drift, read_drift


def test_nothing_differs_after_an_apply_and_before_the_first(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    assert read_drift(host).findings == ()
    apply(host, request_for(policy(1)))
    report = read_drift(host)
    assert (report.findings, report.problems) == ((), ())
    assert report.applied is not None


def test_an_address_names_the_rules_that_use_its_sets(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    live = plane.maps[1, PolicyMap.POLICY]
    key = next(iter(live))
    live[key] = bytes(len(live[key]))
    (found,) = read_drift(host).findings
    assert found.drift is Drift.ENTRY_ALTERED
    assert found.change is not None
    assert found.change.before == policy(1).contents.maps[PolicyMap.POLICY][key]
    apply(host, request_for(policy(1)))
    assert read_drift(host).findings == ()


def test_a_filter_that_is_gone_comes_back_unless_its_interface_went_too(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1), ["eth0", "eth1"]))
    del plane.attached["eth1"]
    (found,) = read_drift(host).findings
    assert (found.drift, found.subject) == (Drift.FILTER_MISSING, "eth1")
    apply(host, request_for(policy(1), []))
    assert read_drift(host).findings == ()
    plane.interfaces.remove("eth1")
    del plane.attached["eth1"]
    apply(host, request_for(policy(1), []))
    (found,) = read_drift(host).findings
    assert found.detail == "the interface is gone"


def test_entries_are_compared_by_digest_when_they_were_not_recorded(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    for image in (tmp_path / "state" / "generations").glob("*.image.gz"):
        image.unlink()
    report = read_drift(host)
    assert report.findings == ()
    assert "so entries can't be told one by one" in report.problems[0]
    plane.maps[1, PolicyMap.POLICY].popitem()
    (found,) = read_drift(host).findings
    assert (found.drift, found.subject) == (Drift.SLOT, "entries")


def test_a_generation_that_nobody_recorded_is_told(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    plane.configs[1] = replace(plane.configs[1], generation=7)
    plane.root = Root(7)
    assert [it.drift for it in read_drift(host).findings] == [Drift.GENERATION]
    plane.root = Root(1)
    plane.configs[1] = replace(plane.configs[1], generation=1, digest=NO_DIGEST)
    assert [it.drift for it in read_drift(host).findings] == [Drift.SLOT]


def test_what_the_kernel_side_finds_is_passed_on(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    plane.irregular = tuple(Irregularity(flaw, "it", "is wrong") for flaw in Flaw)
    assert {it.drift.name for it in read_drift(host).findings} == {flaw.name for flaw in Flaw}
