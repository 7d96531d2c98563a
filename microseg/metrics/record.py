"""What the agent's files say, read when somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import Metric

    from microseg.gitops.record import AgentRecord, Candidate

NO_COMMIT = "none"


class RecordCollector(Collector):
    """The agent's record as gauges; the same from inside the agent and from a command beside it."""

    def __init__(self, version: str, read: Callable[[], AgentRecord]) -> None:
        self._version = version
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        record = self._read()
        yield InfoMetricFamily("microseg_build", "Version of the program.", value={"version": self._version})
        yield _revisions(record)
        yield _gauge("agent_up", "Whether an agent runs (1) or has ended (0).", bool(record.pid))
        yield _gauge("agent_suspended", "Whether it was told to wait.", record.suspension is not None)
        yield _gauge(
            "agent_quarantined", "Whether the newest revision is set aside.", record.quarantine is not None
        )
        yield _gauge("agent_source_readable", "Whether new revisions can be seen.", record.problem is None)
        yield _gauge("agent_failures", "Tries that failed in a row.", record.failures)
        if record.seen_at:
            yield _time("agent_last_look", "When the agent looked last.", record.seen_at.timestamp())
        if record.attempt:
            yield _time("last_attempt", "When an apply was tried last.", record.attempt.at.timestamp())
        if record.applied:
            yield _time("last_success", "When what is in force was applied.", record.applied.at.timestamp())
        if record.drift:
            found = len(record.drift.differences)
            yield _gauge("drift_differences", "What the kernel holds otherwise than was applied.", found)
            yield _time("drift_last_check", "When that was looked at.", record.drift.at.timestamp())

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering reads no file."""
        return []


def _revisions(record: AgentRecord) -> Metric:
    family = GaugeMetricFamily(
        "microseg_revision_info", "Revisions: newest, applied and confirmed.", labels=["role", "commit"]
    )
    applied = record.applied.candidate if record.applied else None
    confirmed = record.confirmed.candidate if record.confirmed else None
    roles = (("desired", record.desired), ("applied", applied), ("confirmed", confirmed))
    for role, candidate in roles:
        family.add_metric([role, _commit(candidate)], 1)
    return family


def _commit(candidate: Candidate | None) -> str:
    if candidate is None:
        return NO_COMMIT
    return candidate.revision.short() if candidate.revision else candidate.identity[:16]


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"microseg_{name}", text, value=float(value))


def _time(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"microseg_{name}_timestamp_seconds", text, value=value)
