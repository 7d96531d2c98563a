"""How what the agent remembers goes on: pure functions from one record to the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from microseg.gitops.record import DriftFinding, InForce, Problem, Quarantine, Rewritten

if TYPE_CHECKING:
    from datetime import datetime

    from microseg.agent_settings import AgentSettings
    from microseg.gitops.record import AgentRecord, Attempt, Candidate, KernelView, Observation

LARGEST_EXPONENT = 30


def pause_s(failures: int, settings: AgentSettings, spread: float) -> float:
    """Return the pause after so many failures in a row (from 1).

    Args:
        failures: how many.
        settings: first and longest pause.
        spread: 0 .. 1; the pause is between half and all of its full length, so that hosts don't go in step.

    """
    full = settings.backoff_s * float(2 ** min(failures - 1, LARGEST_EXPONENT))
    return min(full, settings.backoff_max_s) * (0.5 + spread / 2)


def interval_s(settings: AgentSettings, spread: float) -> float:
    """Return the time until the next look: 90% to 110% of the interval."""
    return settings.interval_s * (0.9 + spread / 5)


def seen(record: AgentRecord, what: Observation) -> AgentRecord:
    """Take in what was observed, before anything is decided."""
    record = replace(record, seen_at=what.now, suspension=what.suspension, problem=_problem(record, what))
    if what.drift:
        record = replace(record, drift=what.drift)
    if record.applied and what.kernel and _is_confirmed(record.applied, what.kernel):
        record = replace(record, confirmed=record.applied)
    if what.candidate is None:
        return record
    if what.rewritten:
        record = replace(record, rewritten=Rewritten(what.rewritten, what.candidate.identity, what.now))
    if record.desired is None or record.desired.identity != what.candidate.identity:
        record = replace(record, failures=0, next_try=None)
        if record.quarantine and record.quarantine.candidate.identity != what.candidate.identity:
            record = replace(record, quarantine=None)
    return replace(record, desired=what.candidate)


def tried(
    record: AgentRecord, attempt: Attempt, settings: AgentSettings, digest: bytes, spread: float
) -> AgentRecord:
    """Take in how a try ended."""
    record = replace(record, attempt=attempt)
    if attempt.succeeded:
        return _in_force(record, attempt, digest)
    if attempt.lasting:
        return set_aside(record, attempt.candidate, attempt.message, attempt.at)
    failures = record.failures + 1
    pause = timedelta(seconds=pause_s(failures, settings, spread))
    return replace(record, failures=failures, next_try=attempt.at + pause)


def set_aside(record: AgentRecord, candidate: Candidate, why: str, at: datetime) -> AgentRecord:
    """Put a candidate into quarantine; what was in force before it counts as applied again."""
    record = replace(record, quarantine=Quarantine(candidate, why, at), failures=0, next_try=None)
    if record.applied is None or record.applied.candidate.identity != candidate.identity:
        return record
    return replace(record, applied=record.earlier, earlier=None)


def _in_force(record: AgentRecord, attempt: Attempt, digest: bytes) -> AgentRecord:
    before, candidate = record.applied, attempt.candidate
    same = before is not None and (before.generation, before.digest) == (attempt.generation, digest)
    since = before.at if before is not None and same else attempt.at
    in_quarantine = record.quarantine and record.quarantine.candidate.identity == candidate.identity
    return replace(
        record,
        applied=InForce(candidate, attempt.generation, digest, since, attempt.at.date()),
        earlier=record.earlier if same else before,
        quarantine=None if in_quarantine else record.quarantine,
        drift=DriftFinding(attempt.at),  # an apply compares everything, and reads back what it writes
        failures=0,
        next_try=None,
    )


def _is_confirmed(applied: InForce, kernel: KernelView) -> bool:
    return applied.generation == kernel.generation and not kernel.confirm_left_s


def _problem(record: AgentRecord, what: Observation) -> Problem | None:
    if what.problem is None:
        return None
    message, advice = what.problem
    if record.problem is None:
        return Problem(message, advice, what.now)
    return Problem(message, advice, record.problem.since, record.problem.failures + 1)
