"""What is reported back about a commit: how a host fared with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from microseg.gitops.record import Reason
from microseg.reconcile.records import Outcome

if TYPE_CHECKING:
    from microseg.gitops.record import Attempt

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Report:
    """One try, for others.

    Attributes:
        host: where.
        commit: which; empty for files that are in no commit.
        subject: first line of its message.
        outcome: how it ended, a word of `Outcome`.
        reason: why it was tried, a word of `Reason`.
        generation: in force afterwards.
        at: when it ended, ISO 8601, UTC.
        duration_ms: of the try.
        message: what went wrong; empty when nothing did.
        advice: what to do about it; may be empty.
        quarantined: the commit isn't tried again until the branch moves.

    """

    host: str
    commit: str
    subject: str
    outcome: str
    reason: str
    generation: int
    at: str
    duration_ms: int
    message: str
    advice: str
    quarantined: bool

    def to_json(self) -> dict[str, Any]:
        """Return the body of a webhook's request."""
        return {"format": FORMAT, **asdict(self)}

    def to_line(self) -> str:
        """Return the line of a note: time, host, outcome, and what there is to say."""
        words = self.message or f"generation {self.generation}"
        return " ".join(f"{self.at} {self.host} {self.outcome}: {words}".split())


def report_of(attempt: Attempt, host: str) -> Report | None:
    """Return what to report of a try; None when it only found that all is as it was."""
    if attempt.outcome is Outcome.UNCHANGED and attempt.reason not in (Reason.NEW, Reason.RETRY):
        return None
    revision = attempt.candidate.revision
    committed = revision is not None and not revision.dirty
    return Report(
        host,
        revision.commit if revision and committed else "",
        revision.subject if revision else "",
        attempt.outcome.value,
        attempt.reason.value,
        attempt.generation,
        attempt.at.isoformat(timespec="seconds"),
        attempt.duration_ms,
        attempt.message,
        attempt.advice,
        attempt.lasting,
    )
