"""Several observers as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.gitops.observer import Observer
    from microseg.gitops.record import Action, AgentRecord, Cycle, Observation
    from microseg.reconcile.apply import StepName


class Observers:
    """Tells each of several observers, in this order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def started(self, record: AgentRecord) -> None:
        """Pass it on."""
        for each in self._observers:
            each.started(record)

    def decided(self, seen: Observation, action: Action) -> None:
        """Pass it on."""
        for each in self._observers:
            each.decided(seen, action)

    def step(self, step: StepName) -> None:
        """Pass it on."""
        for each in self._observers:
            each.step(step)

    def ended(self, cycle: Cycle) -> None:
        """Pass it on."""
        for each in self._observers:
            each.ended(cycle)

    def alive(self) -> None:
        """Pass it on."""
        for each in self._observers:
            each.alive()

    def stopped(self, record: AgentRecord) -> None:
        """Pass it on."""
        for each in self._observers:
            each.stopped(record)

    @property
    def heartbeat_s(self) -> float | None:
        """The shortest that one of them wants."""
        return min(
            (each.heartbeat_s for each in self._observers if each.heartbeat_s is not None), default=None
        )
