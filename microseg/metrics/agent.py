"""What the agent does, counted as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from microseg.gitops.observer import Silent
from microseg.gitops.record import GoBack, Reason, SetAside, Try
from microseg.reconcile.records import Outcome

if TYPE_CHECKING:
    from microseg.gitops.record import Cycle

APPLY_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
DELAY_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)


class AgentMetrics(Silent):
    """An observer that counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own omission
        self._applies = Counter(
            "microseg_applies", "Tries to bring a revision into force.", ["outcome"], registry=registry
        )
        for outcome in Outcome:  # a rate of a series that isn't there yet can't be told
            self._applies.labels(outcome.value)
        self._durations = Histogram(
            "microseg_apply_duration_seconds",
            "From the first step to the policy in force, or to the failure.",
            buckets=APPLY_BUCKETS_S,
            registry=registry,
        )
        self._delays = Histogram(
            "microseg_commit_to_enforced_seconds",
            "From the time of a commit to its being in force.",
            buckets=DELAY_BUCKETS_S,
            registry=registry,
        )
        self._rollbacks = Counter(
            "microseg_rollbacks", "Revisions that did not stay in force.", ["reason"], registry=registry
        )
        for reason in ("probes", "set-aside"):
            self._rollbacks.labels(reason)
        self._rewrites = Counter(
            "microseg_rewritten_histories", "Heads that don't follow the one before.", registry=registry
        )
        self._cycles = Counter("microseg_agent_cycles", "Turns of the agent's loop.", registry=registry)

    def ended(self, cycle: Cycle) -> None:
        """Count a turn of the loop."""
        self._cycles.inc()
        if cycle.seen.rewritten:
            self._rewrites.inc()
        match cycle.action:
            case GoBack():
                self._rollbacks.labels("probes").inc()
            case SetAside():
                self._rollbacks.labels("set-aside").inc()
            case _:
                pass
        if cycle.attempt is None:
            return
        attempt = cycle.attempt
        self._applies.labels(attempt.outcome.value).inc()
        self._durations.observe(attempt.duration_ms / 1000)
        is_new = isinstance(cycle.action, Try) and cycle.action.reason in (Reason.NEW, Reason.RETRY)
        if attempt.succeeded and is_new and attempt.candidate.committed_at:
            self._delays.observe(max(0.0, (attempt.at - attempt.candidate.committed_at).total_seconds()))
