"""What the agent says, line by line."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from microseg.cli.agent_log import Log, LogFormat
from microseg.gitops.record import (
    AgentRecord,
    Attempt,
    Candidate,
    Cycle,
    Observation,
    Reason,
    Try,
    Wait,
)
from microseg.reconcile.records import Outcome
from microseg.reconcile.revision import Revision

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
A = Candidate("a" * 40, Revision("a" * 40, "shop: one"))
SEEN = Observation(NOW, A)
REFUSED = Attempt(A, Reason.NEW, NOW, Outcome.REFUSED, "a test fails", "microseg test", lasting=True)


def play(log: Log) -> None:
    log.started(AgentRecord())
    log.decided(SEEN, Try(A, Reason.NEW))
    log.ended(Cycle(SEEN, Try(A, Reason.NEW), AgentRecord(), REFUSED))
    for _ in range(3):
        log.decided(SEEN, Wait("quarantine"))


def test_a_line_for_what_changed_and_none_for_what_did_not(capsys: pytest.CaptureFixture[str]) -> None:
    play(Log(LogFormat.TEXT, {}))
    assert capsys.readouterr().err.splitlines() == [
        "the agent is up, and has applied nothing yet",
        "new revision: aaaaaaaaaa (shop: one)",
        "aaaaaaaaaa (shop: one) refused: a test fails (quarantined until the branch moves)",
        "quarantine",
    ]


def test_the_journal_gets_priorities(capsys: pytest.CaptureFixture[str]) -> None:
    play(Log(LogFormat.TEXT, {"JOURNAL_STREAM": "8:1"}))
    assert [line[:3] for line in capsys.readouterr().err.splitlines()] == ["<5>", "<6>", "<3>", "<6>"]


def test_json_has_the_facts(capsys: pytest.CaptureFixture[str]) -> None:
    play(Log(LogFormat.JSON, {}))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["started", "try", "failed", "wait"]
    assert lines[2]["identity"] == A.identity
    assert (lines[2]["priority"], lines[2]["outcome"], lines[2]["advice"]) == (
        "error",
        "refused",
        "microseg test",
    )


def test_a_problem_is_told_when_it_comes_and_when_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(LogFormat.TEXT, {})
    gone = Observation(NOW, A, problem=("the remote is gone", "look"))
    for seen in (gone, gone, SEEN, SEEN):
        log.decided(seen, Wait("as desired"))
    assert capsys.readouterr().err.splitlines() == [
        "as desired",
        "the remote is gone",
        "no longer: the remote is gone",
    ]
