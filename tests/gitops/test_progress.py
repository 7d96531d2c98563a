from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from microseg.agent_settings import AgentSettings
from microseg.gitops import progress
from microseg.gitops.record import (
    AgentRecord,
    Attempt,
    Candidate,
    DriftFinding,
    InForce,
    KernelView,
    Observation,
    Problem,
    Quarantine,
    Reason,
    Rewritten,
    Suspension,
)
from microseg.gitops.record_json import record_from_json, record_to_json
from microseg.gitops.record_store import RecordStore
from microseg.reconcile.records import Outcome
from microseg.reconcile.revision import Revision

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
A = Candidate("a" * 40, Revision("a" * 40, "größer", dirty=True), NOW)
B = Candidate("files:1234", None)
SETTINGS = AgentSettings(backoff_s=1, backoff_max_s=100)
DONE = Attempt(A, Reason.NEW, NOW, Outcome.DONE, generation=3)
FAILED = Attempt(B, Reason.NEW, NOW, Outcome.FAILED, "the disk is full")
REFUSED = replace(FAILED, outcome=Outcome.REFUSED, lasting=True)
A_IN_FORCE = InForce(A, 3, b"3", NOW, NOW.date())

FULL = AgentRecord(
    B, REFUSED, A_IN_FORCE, replace(A_IN_FORCE, generation=2), A_IN_FORCE, Quarantine(B, "why", NOW),
    Problem("gone", "type", NOW, 3), Rewritten("a", "b", NOW), DriftFinding(NOW, ("one", "two"), ("three",)),
    Suspension("root", "because", NOW), 2, NOW, NOW, NOW, 7,
)  # fmt: skip


def test_pauses_double_up_to_a_limit_and_are_spread() -> None:
    full = [progress.pause_s(failures, SETTINGS, 1.0) for failures in range(1, 10)]
    assert full == [1, 2, 4, 8, 16, 32, 64, 100, 100]
    assert progress.pause_s(3, SETTINGS, 0.0) == 2
    assert progress.pause_s(100_000, SETTINGS, 1.0) == 100
    assert [progress.interval_s(SETTINGS, spread) for spread in (0.0, 0.5, 1.0)] == pytest.approx(
        [54, 60, 66]
    )


def test_success_clears_what_failed_before() -> None:
    before = replace(FULL, quarantine=Quarantine(A, "why", NOW))
    record = progress.tried(before, DONE, SETTINGS, b"3", 0.5)
    assert (record.failures, record.next_try, record.quarantine) == (0, None, None)
    assert record.applied == A_IN_FORCE


def test_another_commits_success_leaves_the_quarantine() -> None:
    assert progress.tried(FULL, DONE, SETTINGS, b"3", 0.5).quarantine == FULL.quarantine


def test_a_new_generation_remembers_the_one_before() -> None:
    later = replace(DONE, generation=4, at=NOW + timedelta(hours=1))
    record = progress.tried(AgentRecord(applied=A_IN_FORCE), later, SETTINGS, b"4", 0.5)
    assert record.earlier == A_IN_FORCE
    assert record.applied == replace(A_IN_FORCE, generation=4, digest=b"4", at=later.at)


def test_the_same_generation_goes_on_being_in_force_since_then() -> None:
    later = replace(DONE, outcome=Outcome.UNCHANGED, at=NOW + timedelta(days=1))
    before = AgentRecord(applied=A_IN_FORCE, earlier=FULL.earlier)
    record = progress.tried(before, later, SETTINGS, b"3", 0.5)
    assert record.applied == replace(A_IN_FORCE, day=later.at.date())
    assert record.earlier == before.earlier


def test_a_failure_that_may_pass_pauses_longer_each_time() -> None:
    record = AgentRecord()
    for number, pause_s in enumerate((1, 2, 4), 1):
        record = progress.tried(record, FAILED, SETTINGS, b"", 1.0)
        assert record.failures == number
        assert record.next_try == NOW + timedelta(seconds=pause_s)


def test_a_lasting_failure_is_set_aside_until_the_head_moves() -> None:
    record = progress.tried(AgentRecord(applied=A_IN_FORCE), REFUSED, SETTINGS, b"", 0.5)
    assert record.quarantine == Quarantine(B, "the disk is full", NOW)
    assert record.applied == A_IN_FORCE
    record = progress.seen(record, Observation(NOW, B))
    assert record.quarantine
    record = progress.seen(record, Observation(NOW, A))
    assert record.quarantine is None


def test_a_moved_head_ends_the_pause() -> None:
    waiting = AgentRecord(desired=B, failures=5, next_try=NOW + timedelta(hours=1))
    assert progress.seen(waiting, Observation(NOW, B)).failures == 5
    moved = progress.seen(waiting, Observation(NOW, A))
    assert (moved.failures, moved.next_try, moved.desired) == (0, None, A)


def test_what_is_set_aside_hands_over_to_what_was_before() -> None:
    earlier = InForce(B, 2, b"2", NOW, NOW.date())
    record = progress.set_aside(AgentRecord(applied=A_IN_FORCE, earlier=earlier), A, "why", NOW)
    assert (record.applied, record.earlier) == (earlier, None)


def test_nothing_seen_leaves_what_was_desired() -> None:
    record = progress.seen(AgentRecord(desired=A), Observation(NOW, problem=("gone", "type")))
    assert record.desired == A
    assert record.problem == Problem("gone", "type", NOW)
    again = progress.seen(record, Observation(NOW + timedelta(hours=1), problem=("still gone", "")))
    assert again.problem == Problem("still gone", "", NOW, 2)
    assert progress.seen(again, Observation(NOW, A)).problem is None


def test_what_waits_for_its_confirmation_is_not_confirmed() -> None:
    record = AgentRecord(applied=A_IN_FORCE)
    waiting = KernelView(3, b"3", confirm_left_s=5)
    assert progress.seen(record, Observation(NOW, kernel=waiting)).confirmed is None
    assert progress.seen(record, Observation(NOW, kernel=KernelView(3, b"3"))).confirmed == A_IN_FORCE


def test_rewritten_history_is_remembered() -> None:
    record = progress.seen(AgentRecord(desired=B), Observation(NOW, A, rewritten=B.identity))
    assert record.rewritten == Rewritten(B.identity, A.identity, NOW)


@pytest.mark.parametrize("record", [FULL, AgentRecord()], ids=["full", "empty"])
def test_json_keeps_everything(record: AgentRecord) -> None:
    assert record_from_json(json.loads(json.dumps(record_to_json(record)))) == record


@pytest.mark.parametrize(
    "damage",
    [{"format": 2}, {"failures": "2"}, {"failures": True}, {"seen_at": "yesterday"}, {"drift": []},
     {"applied": {}}, {"more": 1}, {"attempt": {"outcome": "perhaps"}}],
)  # fmt: skip
def test_anything_else_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        record_from_json({**record_to_json(FULL), **damage})


def test_the_store_keeps_what_it_is_given(tmp_path: Path) -> None:
    store = RecordStore(tmp_path / "state", tmp_path / "run")
    assert store.read() == (AgentRecord(), [])
    store.write(FULL)
    assert store.read() == (FULL, [])
    store.volatile_path.unlink()
    assert store.read() == (replace(FULL, seen_at=None, next_look=None, pid=0), [])


def test_a_look_that_changed_nothing_costs_the_disk_nothing(tmp_path: Path) -> None:
    store = RecordStore(tmp_path / "state", tmp_path / "run")
    store.write(FULL)
    before = store.durable_path.stat()
    store.write(replace(FULL, seen_at=NOW + timedelta(hours=1)))
    assert store.durable_path.stat() == before


def test_a_broken_file_is_told_and_the_other_counts(tmp_path: Path) -> None:
    store = RecordStore(tmp_path / "state", tmp_path / "run")
    store.write(FULL)
    store.volatile_path.write_text('{"format": 1')
    record, problems = store.read()
    assert record.applied == FULL.applied
    assert len(problems) == 1
    assert "record.json is not an agent's file" in problems[0]


def test_a_state_directory_that_can_not_be_written_leaves_the_other(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a directory")
    store = RecordStore(tmp_path / "state", tmp_path / "run")
    with pytest.raises(OSError, match="state"):
        store.write(FULL)
    assert json.loads(store.volatile_path.read_text())["pid"] == 7
