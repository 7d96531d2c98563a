"""What the agent remembers, and what it sees: values without behaviour, which `decide` works on."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from microseg.reconcile.records import Outcome

if TYPE_CHECKING:
    from datetime import date, datetime

    from microseg.reconcile.revision import Revision


@dataclass(frozen=True, slots=True)
class Candidate:
    """A state of the policy's text that could be applied.

    Attributes:
        identity: what tells it from every other: a commit's name, or `files:` and a hash of all the text.
        revision: the commit; None outside git.
        committed_at: when it was committed, UTC; None for files that are in no commit.

    """

    identity: str
    revision: Revision | None
    committed_at: datetime | None = None


class Reason(Enum):
    """Why the agent applies something; the value is the word that is shown."""

    NEW = "new revision"
    RETRY = "next try"
    ASKED = "asked for"
    DAY = "new day"
    """Rules may have expired, or the text may warn of what expires."""
    DRIFT = "drift"
    MISSING = "nothing in force"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to bring a candidate into force.

    Attributes:
        candidate: what was tried.
        reason: why.
        at: when it ended, UTC.
        outcome: how.
        message: what went wrong, in one line; empty when nothing did.
        advice: what to type; may be empty.
        generation: in force afterwards; 0: none, or unknown.
        duration_ms: of the whole try.
        lasting: it would fail again in the same way, so the candidate is put into quarantine.

    """

    candidate: Candidate
    reason: Reason
    at: datetime
    outcome: Outcome
    message: str = ""
    advice: str = ""
    generation: int = 0
    duration_ms: int = 0
    lasting: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the candidate is in force now."""
        return self.outcome in (Outcome.DONE, Outcome.UNCHANGED)


@dataclass(frozen=True, slots=True)
class InForce:
    """A candidate that the agent brought into force.

    Attributes:
        candidate: which.
        generation: as what.
        digest: of its entries and defaults.
        at: since when, UTC.
        day: the date its rules were looked at for.

    """

    candidate: Candidate
    generation: int
    digest: bytes
    at: datetime
    day: date


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A candidate that isn't tried again until the head moves."""

    candidate: Candidate
    why: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps the agent from seeing the newest text; it goes on with what it has."""

    message: str
    advice: str
    since: datetime
    failures: int = 1


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The followed branch went to a commit that doesn't follow the one before."""

    before: str
    after: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """What a whole comparison of the kernel with what was applied has found.

    Attributes:
        at: when, UTC.
        differences: of what is ours, which an apply puts right; empty: none.
        foreign: what others have put before ours, which is theirs to remove.

    """

    at: datetime
    differences: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suspension:
    """Somebody told the agent to leave everything as it is."""

    who: str
    why: str
    since: datetime


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """What the agent remembers; written to its files. The kernel counts where they differ.

    Attributes:
        desired: the newest candidate that was seen.
        attempt: the last try.
        applied: what the agent brought into force last.
        earlier: what was in force before that, the way back.
        confirmed: the last that needs no confirmation any more.
        quarantine: what isn't tried again.
        problem: why the newest text can't be seen; None when it can.
        rewritten: the last time history was rewritten.
        drift: the last whole comparison.
        suspension: as the agent saw it last.
        failures: tries that failed in a row, for reasons that may pass.
        next_try: not before then; None: whenever there is something to do.
        seen_at: when the agent looked last, UTC.
        next_look: when it looks again without being told.
        pid: of the agent; 0: it has ended.

    """

    desired: Candidate | None = None
    attempt: Attempt | None = None
    applied: InForce | None = None
    earlier: InForce | None = None
    confirmed: InForce | None = None
    quarantine: Quarantine | None = None
    problem: Problem | None = None
    rewritten: Rewritten | None = None
    drift: DriftFinding | None = None
    suspension: Suspension | None = None
    failures: int = 0
    next_try: datetime | None = None
    seen_at: datetime | None = None
    next_look: datetime | None = None
    pid: int = 0


@dataclass(frozen=True, slots=True)
class KernelView:
    """What the kernel says, without the entries.

    Attributes:
        generation: in force; 0: none, everything passes.
        digest: as its slot says; empty when none is in force.
        went_back: a newer generation was rolled back, or not confirmed in time; 0: none.
        confirm_left_s: until the kernel goes back by itself; 0: nothing waits.
        attached: interfaces under enforcement.

    """

    generation: int = 0
    digest: bytes = b""
    went_back: int = 0
    confirm_left_s: int = 0
    attached: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything a decision is made from, besides the record.

    Attributes:
        now: UTC.
        candidate: the newest text that can be had; None: there never was any.
        problem: why there may be newer text; message and advice.
        rewritten: the commit before, when the candidate doesn't follow it.
        kernel: what the kernel says; None when it can't be asked.
        kernel_problem: why it can't be asked.
        suspension: whether somebody stopped the agent.
        drift: a whole comparison, when one was due.
        asked: somebody wants a try now, whatever failed before.
        probes_failed: what a pending confirmation waits for; None: nothing is pending.

    """

    now: datetime
    candidate: Candidate | None = None
    problem: tuple[str, str] | None = None
    rewritten: str = ""
    kernel: KernelView | None = None
    kernel_problem: str = ""
    suspension: Suspension | None = None
    drift: DriftFinding | None = None
    asked: bool = False
    probes_failed: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do; why, in one line."""

    why: str


@dataclass(frozen=True, slots=True)
class Try:
    """Bring a candidate into force."""

    candidate: Candidate
    reason: Reason


@dataclass(frozen=True, slots=True)
class Confirm:
    """The pending policy has proved itself."""


@dataclass(frozen=True, slots=True)
class GoBack:
    """The pending policy has failed its probes: the previous generation again."""

    why: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """Somebody, or the kernel itself, went back: the candidate isn't tried again until the head moves."""

    candidate: Candidate
    why: str


Action = Wait | Try | Confirm | GoBack | SetAside


@dataclass(frozen=True, slots=True)
class Cycle:
    """One turn of the loop, for those who watch the agent.

    Attributes:
        seen: what was observed.
        action: what was decided.
        record: what is remembered afterwards.
        attempt: how a try ended; None when there was none.

    """

    seen: Observation
    action: Action
    record: AgentRecord
    attempt: Attempt | None = None
    warnings: tuple[str, ...] = field(default=())
