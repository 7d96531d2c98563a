"""What the agent says on standard error: a line for everything that changed, and none for what didn't.

Lines begin with a priority in angle brackets when the journal reads them (sd-daemon(3)).
"""

from __future__ import annotations

import json
import os
import sys
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

from microseg.gitops.observer import Silent
from microseg.gitops.record import Confirm, GoBack, SetAside, Try, Wait
from microseg.reconcile.revision import describe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from microseg.gitops.record import Action, AgentRecord, Attempt, Candidate, Cycle, Observation


class LogFormat(Enum):
    """How lines look; the value is the word of the command line."""

    TEXT = "text"
    JSON = "json"


class Priority(IntEnum):
    """Of syslog."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


class Log(Silent):
    """An observer that writes lines."""

    def __init__(self, form: LogFormat, environment: Mapping[str, str] = os.environ) -> None:
        self._form = form
        self._journal = "JOURNAL_STREAM" in environment
        self._said = ""
        self._problem = ""

    def started(self, record: AgentRecord) -> None:
        """Say what it goes on from."""
        applied = record.applied
        words = f"goes on from {name_of(applied.candidate)}" if applied else "has applied nothing yet"
        self._line(Priority.NOTICE, "started", f"the agent is up, and {words}", pid=record.pid)

    def decided(self, seen: Observation, action: Action) -> None:
        """Say what is about to be done."""
        match action:
            case Try(candidate, reason):
                words = f"{reason.value}: {name_of(candidate)}"
                self._line(Priority.INFO, "try", words, identity=candidate.identity, reason=reason.value)
            case GoBack(why):
                self._line(Priority.ERROR, "go-back", f"going back to the previous policy: {why}")
            case SetAside(candidate, why):
                self._line(Priority.WARNING, "quarantine", why, identity=candidate.identity)
            case Confirm():
                self._line(Priority.NOTICE, "confirm", "every probe connects: the policy is confirmed")
            case Wait():
                self._wait(action.why)
        self._source(seen)

    def ended(self, cycle: Cycle) -> None:
        """Say how it ended."""
        for warning in cycle.warnings:
            self.remark(warning)
        if cycle.attempt:
            self._attempt(cycle.attempt, cycle.record)

    def stopped(self, record: AgentRecord) -> None:
        """Say that enforcement goes on."""
        self._line(Priority.NOTICE, "stopped", "the agent ends; enforcement goes on", pid=record.pid)

    def remark(self, message: str) -> None:
        """Say what did not work beside the agent's own work; may be called by other threads."""
        self._line(Priority.WARNING, "warning", message)

    def _attempt(self, attempt: Attempt, record: AgentRecord) -> None:
        facts = {
            "identity": attempt.candidate.identity,
            "outcome": attempt.outcome.value,
            "generation": attempt.generation,
            "duration_ms": attempt.duration_ms,
        }
        name = name_of(attempt.candidate)
        if attempt.succeeded:
            words = f"generation {attempt.generation} is in force: {name}, {attempt.duration_ms} ms"
            self._line(Priority.NOTICE, "applied", words, **facts)
            return
        until = "quarantined until the branch moves" if attempt.lasting else _again(record.next_try)
        words = f"{name} {attempt.outcome.value}: {attempt.message} ({until})"
        self._line(Priority.ERROR, "failed", words, **facts, advice=attempt.advice)

    def _wait(self, why: str) -> None:
        if why != self._said:
            self._line(Priority.INFO, "wait", why)
        self._said = why

    def _source(self, seen: Observation) -> None:
        problem = seen.problem[0] if seen.problem else seen.kernel_problem
        if problem and problem != self._problem:
            advice = seen.problem[1] if seen.problem else ""
            self._line(Priority.ERROR, "problem", problem, advice=advice)
        elif self._problem and not problem:
            self._line(Priority.NOTICE, "recovered", f"no longer: {self._problem}")
        self._problem = problem
        if seen.rewritten and seen.candidate:
            words = f"history was rewritten: {seen.candidate.identity} doesn't follow {seen.rewritten}"
            self._line(Priority.WARNING, "rewritten", words)

    def _line(self, priority: Priority, event: str, message: str, **facts: Any) -> None:  # noqa: ANN401
        if self._form is LogFormat.JSON:
            line = {"event": event, "priority": priority.name.lower(), "message": message, **facts}
            text = json.dumps(line, ensure_ascii=False)
        else:
            text = " ".join(message.split())
        lead = f"<{priority.value}>" if self._journal else ""
        sys.stderr.write(f"{lead}{text}\n")
        sys.stderr.flush()


def name_of(candidate: Candidate) -> str:
    """Return a candidate for a sentence."""
    return describe(candidate.revision)


def _again(when: datetime | None) -> str:
    return f"again at {when:%H:%M:%S} UTC" if when else "again at once"
