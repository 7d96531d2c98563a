"""The agent's part of the status: what it wants, what it did, why not, and when it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from microseg.cli.agent_log import name_of
from microseg.gitops.control import Control
from microseg.gitops.record import AgentRecord
from microseg.gitops.record_json import record_to_json
from microseg.gitops.record_store import RecordStore

if TYPE_CHECKING:
    from datetime import datetime

    from microseg.config import Settings
    from microseg.gitops.record import Attempt, InForce
    from microseg.reconcile.observed import Observed


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What the agent's files say, and whether it runs.

    Attributes:
        record: what it remembers.
        running: an agent of this instance runs now.
        follows: what it is set to follow, for people.
        problems: what could not be read.

    """

    record: AgentRecord
    running: bool
    follows: str
    problems: tuple[str, ...]


def read_agent_status(settings: Settings) -> AgentStatus | None:
    """Return what is known of the agent, None when there never was one. Raises OSError."""
    record, problems = RecordStore(settings.state_dir, settings.run_dir).read()
    running = Control(settings.state_dir, settings.run_dir).is_running()
    if record == AgentRecord() and not running and not problems:
        return None
    return AgentStatus(record, running, _follows(settings), tuple(problems))


def rows(agent: AgentStatus, observed: Observed) -> list[tuple[str, str]]:
    """Return its lines; empty ones have nothing to say."""
    record = agent.record
    return [
        ("agent", _presence(agent)),
        ("suspended", _suspension(record)),
        ("desired", name_of(record.desired) if record.desired else "nothing yet"),
        ("attempted", _attempted(record.attempt)),
        ("applied", _applied(record.applied, observed)),
        ("confirmed", _confirmed(record)),
        ("why not", _why_not(record)),
        ("try", _advice(record)),
        (
            "next try",
            f"{_when(record.next_try)}, after {record.failures} failures" if record.next_try else "",
        ),
        ("drift", _drift(record)),
    ]


def problems(agent: AgentStatus) -> list[str]:
    """Return what the operator should know."""
    record, found = agent.record, list(agent.problems)
    if not agent.running:
        found.append("no agent runs: the policy in force stays as it is; microseg agent, or its unit")
    if record.rewritten:
        rewritten = record.rewritten
        found.append(
            f"history was rewritten at {_when(rewritten.at)}: {rewritten.after[:10]} "
            f"doesn't follow {rewritten.before[:10]}"
        )
    return found


def as_object(agent: AgentStatus) -> dict[str, Any]:
    """Return it for JSON."""
    return {"running": agent.running, "follows": agent.follows, "problems": problems(agent)} | {
        name: value for name, value in record_to_json(agent.record).items() if name != "format"
    }


def _follows(settings: Settings) -> str:
    agent = settings.agent
    if agent.remote:
        return f"{agent.branch or 'main'} of {agent.remote}"
    return f"{agent.branch or 'the files'} of {settings.policy_dir}"


def _presence(agent: AgentStatus) -> str:
    if not agent.running:
        return f"not running; was to follow {agent.follows}"
    record = agent.record
    looked = f", looked at {_when(record.seen_at)}" if record.seen_at else ""
    following = f", looks again at {_when(record.next_look)}" if record.next_look else ""
    return f"process {record.pid} follows {agent.follows}{looked}{following}"


def _suspension(record: AgentRecord) -> str:
    by = record.suspension
    if by is None:
        return ""
    return f"since {_when(by.since)}, by {by.who}{f': {by.why}' if by.why else ''}; microseg resume ends it"


def _attempted(attempt: Attempt | None) -> str:
    if attempt is None:
        return ""
    ended = f"{attempt.outcome.value}, {_when(attempt.at)}, {attempt.duration_ms / 1000:.2f} s"
    return f"{name_of(attempt.candidate)}: {ended} ({attempt.reason.value})"


def _applied(applied: InForce | None, observed: Observed) -> str:
    if applied is None:
        return ""
    other = "" if applied.generation == observed.generation else "; the kernel has another one in force"
    return f"{name_of(applied.candidate)} as generation {applied.generation}, {_when(applied.at)}{other}"


def _confirmed(record: AgentRecord) -> str:
    if record.confirmed is None or record.applied is None:
        return ""
    same = record.confirmed.generation == record.applied.generation
    return (
        "" if same else f"{name_of(record.confirmed.candidate)} as generation {record.confirmed.generation}"
    )


def _why_not(record: AgentRecord) -> str:
    """Return why what is desired isn't in force, or why it isn't known what should be."""
    reasons = []
    if record.quarantine:
        name = name_of(record.quarantine.candidate)
        reasons.append(f"{name} is in quarantine until the branch moves: {record.quarantine.why}")
    elif record.attempt and not record.attempt.succeeded:
        reasons.append(record.attempt.message)
    if record.problem:
        problem = record.problem
        reasons.append(f"{problem.message} (since {_when(problem.since)}, {problem.failures} times)")
    return "; ".join(reasons)


def _advice(record: AgentRecord) -> str:
    if record.problem and record.problem.advice:
        return record.problem.advice
    failed = record.attempt is not None and not record.attempt.succeeded
    return record.attempt.advice if record.attempt and failed else ""


def _drift(record: AgentRecord) -> str:
    if record.drift is None:
        return ""
    found = (*record.drift.differences, *record.drift.foreign)
    return f"{'; '.join(found) or 'none'}, compared at {_when(record.drift.at)}"


def _when(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "never"
