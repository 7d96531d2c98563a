"""What the agent does next: a pure function of what it remembers and what it sees.

Level-based: nothing here knows which event woke the agent, so a lost event costs time and never correctness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.agent_settings import Drift
from microseg.gitops.record import Confirm, GoBack, Reason, SetAside, Try, Wait

if TYPE_CHECKING:
    from datetime import datetime

    from microseg.agent_settings import AgentSettings
    from microseg.gitops.record import Action, AgentRecord, Candidate, InForce, KernelView, Observation


def decide(record: AgentRecord, seen: Observation, settings: AgentSettings) -> Action:
    """Return the next action; `record` has been brought up to date with what was seen."""
    if seen.suspension:
        return Wait("suspended")
    if seen.kernel is None:
        return Wait("the kernel can't be asked")
    if seen.kernel.confirm_left_s:
        return _trial(record, seen, seen.kernel, settings)
    if record.applied and _went_back(record.applied, seen.kernel) and not _is_aside(record, record.applied):
        return SetAside(record.applied.candidate, _why_back(seen.kernel))
    target = _target(record, seen)
    if target is None:
        return Wait("there is nothing to apply yet" if seen.candidate is None else "quarantine")
    reason = _reason(record, seen, seen.kernel, target, settings)
    if reason is None:
        return Wait("as desired" if target == seen.candidate else "quarantine")
    if _is_too_early(record, seen.now) and not seen.asked:
        return Wait("pausing after a failure")
    return Try(target, reason)


def _trial(record: AgentRecord, seen: Observation, kernel: KernelView, settings: AgentSettings) -> Action:
    """Judge a policy that waits for its confirmation; one that somebody else applied is theirs."""
    ours = record.applied is not None and record.applied.generation == kernel.generation
    if not ours or not settings.confirm_within_s or seen.probes_failed is None:
        return Wait(f"generation {kernel.generation} waits for its confirmation")
    if not seen.probes_failed:
        return Confirm()
    if kernel.confirm_left_s <= settings.confirm_within_s / 2:
        return GoBack("no connection any more to " + ", ".join(seen.probes_failed))
    return Wait("connections are being tried: " + ", ".join(seen.probes_failed))


def _went_back(applied: InForce, kernel: KernelView) -> bool:
    """Say whether what was applied is whole in the kernel and yet an older generation is in force."""
    return applied.generation == kernel.went_back


def _why_back(kernel: KernelView) -> str:
    return f"generation {kernel.went_back} was rolled back or not confirmed; {kernel.generation} is in force"


def _is_aside(record: AgentRecord, applied: InForce) -> bool:
    return record.quarantine is not None and record.quarantine.candidate == applied.candidate


def _target(record: AgentRecord, seen: Observation) -> Candidate | None:
    """Return what should be in force: the newest text, or, while that is in quarantine, the last good one."""
    if seen.candidate is None or record.quarantine is None or seen.asked:
        return seen.candidate
    if seen.candidate.identity != record.quarantine.candidate.identity:
        return seen.candidate
    last = record.applied
    is_good = last is not None and last.candidate.identity != record.quarantine.candidate.identity
    return last.candidate if last is not None and is_good else None


def _reason(
    record: AgentRecord, seen: Observation, kernel: KernelView, target: Candidate, settings: AgentSettings
) -> Reason | None:
    """Return why the target has to be applied; None when it is in force."""
    applied = record.applied
    if seen.asked:
        return Reason.ASKED
    if applied is None or applied.candidate.identity != target.identity:
        tried = record.attempt is not None and record.attempt.candidate.identity == target.identity
        return Reason.RETRY if tried else Reason.NEW
    if not kernel.generation:
        return Reason.MISSING
    if applied.day < seen.now.date():
        return Reason.DAY
    if settings.drift is not Drift.HEAL:
        return None
    is_another = (applied.generation, applied.digest) != (kernel.generation, kernel.digest)
    found = seen.drift is not None and bool(seen.drift.differences)
    return Reason.DRIFT if is_another or found else None


def _is_too_early(record: AgentRecord, now: datetime) -> bool:
    return record.next_try is not None and now < record.next_try
