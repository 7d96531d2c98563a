from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from reconcile.fake import FakeDataPlane
from reconcile.worlds import OPERATOR, host_of, policy, request_for

from microseg.reconcile.apply import apply
from microseg.reconcile.attachment import attach, detach
from microseg.reconcile.dataplane import Attachment, Hook, InterfaceMissingError
from microseg.reconcile.errors import GuardError, ReconcileError
from microseg.reconcile.records import Operation
from microseg.reconcile.status import read_status
from microseg.reconcile.transaction import Host


@pytest.fixture
def host(plane: FakeDataPlane, tmp_path: Path) -> Host:
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    return host


def test_attaching_to_one_more(plane: FakeDataPlane, host: Host) -> None:
    result = attach(host, OPERATOR, ["eth1", "eth0"], None)

    assert result.changed == (Attachment("eth1", Hook.TCX),)
    assert set(plane.attached) == {"eth0", "eth1"}
    assert host.store.read_history()[-1].operation is Operation.ATTACH


def test_connections_in_progress_are_adopted_for_a_while_after_attaching(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    apply(host, replace(request_for(policy(1)), adopt_s=300))
    assert plane.adopting_until == plane.boot_s + 300
    apply(host, replace(request_for(policy(2)), adopt_s=900))
    assert plane.adopting_until == plane.boot_s + 300, "nothing was attached"
    attach(host, OPERATOR, ["eth1"], None, adopt_s=60)
    assert plane.adopting_until == plane.boot_s + 60


def test_attaching_needs_a_policy(plane: FakeDataPlane, tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="no policy is in force"):
        attach(host_of(plane, tmp_path), OPERATOR, ["eth0"], None)
    assert plane.attached == {}


def test_attaching_to_what_does_not_exist_changes_nothing(plane: FakeDataPlane, host: Host) -> None:
    before = plane.enforced()
    with pytest.raises(InterfaceMissingError):
        attach(host, OPERATOR, ["eth1", "eth9"], None)
    assert plane.enforced() == before


def test_detaching_one_leaves_the_others_and_the_policy(plane: FakeDataPlane, host: Host) -> None:
    attach(host, OPERATOR, ["eth1"], None)
    result = detach(host, OPERATOR, ["eth0"])

    assert [it.interface for it in result.now] == ["eth1"]
    assert plane.loaded
    assert plane.root.generation == 1


def test_detaching_what_is_not_attached_is_refused(plane: FakeDataPlane, host: Host) -> None:
    with pytest.raises(GuardError, match="eth1: not attached"):
        detach(host, OPERATOR, ["eth0", "eth1"])
    assert set(plane.attached) == {"eth0"}


def test_detaching_everything_removes_everything(plane: FakeDataPlane, host: Host) -> None:
    result = detach(host, OPERATOR)

    assert result.unloaded
    assert not plane.loaded
    state = host.store.read_state()
    assert state.current is None
    assert state.previous is not None
    assert state.previous.generation == 1
    assert host.store.read_history()[-1].operation is Operation.DETACH


def test_detaching_that_cannot_be_recorded_is_done_and_says_so(
    plane: FakeDataPlane, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("microseg.reconcile.durable.append_line", full)
    with pytest.raises(ReconcileError, match=r"the detach is done \(eth0\), but could not be recorded"):
        detach(host, OPERATOR)
    assert not plane.loaded


def test_detaching_twice_is_no_mistake(host: Host) -> None:
    detach(host, OPERATOR)
    assert not detach(host, OPERATOR).unloaded


def test_status_tells_what_is_in_force_and_where(plane: FakeDataPlane, host: Host) -> None:
    status = read_status(host)
    assert status.known.revision == policy(1).revision
    assert [it.interface for it in status.observed.attachments] == ["eth0"]
    assert sum(status.entries.values()) == policy(1).contents.entry_count()
    assert status.way_back == 0
    assert not status.altered

    apply(host, request_for(policy(2)))
    assert read_status(host).way_back == 1
    name = next(name for name, count in status.entries.items() if count)
    plane.maps[0, name].clear()
    assert read_status(host).altered


def test_status_of_a_generation_nobody_recorded(host: Host) -> None:
    for path in (host.store.root / "generations").iterdir():
        path.unlink()
    (host.store.root / "state.json").unlink()

    known = read_status(host).known

    assert known.applied is None
    assert "nothing is recorded of generation 1" in known.problems[0]
