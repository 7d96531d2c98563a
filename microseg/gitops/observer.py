"""Who watches the agent: logs, metrics, the service manager. The agent knows them only as this Protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from microseg.gitops.record import Action, AgentRecord, Cycle, Observation
    from microseg.reconcile.apply import StepName


class Observer(Protocol):
    """Is told what the agent does, in its thread; must be quick, and must not raise."""

    def started(self, record: AgentRecord) -> None:
        """Hear that the agent has its lock and its files, and is about to look for the first time."""

    def decided(self, seen: Observation, action: Action) -> None:
        """Hear what it saw and what it does now, which may take a while."""

    def step(self, step: StepName) -> None:
        """Hear which step an apply has come to."""

    def ended(self, cycle: Cycle) -> None:
        """Hear how a turn of the loop ended."""

    def alive(self) -> None:
        """Hear that the loop goes round; at least every `heartbeat_s` while nothing long is being done."""

    def stopped(self, record: AgentRecord) -> None:
        """Hear that the agent ends; enforcement goes on (I8)."""

    @property
    def heartbeat_s(self) -> float | None:
        """How often `alive` is wanted; None: it doesn't matter."""


class Silent:
    """Watches and says nothing; what an observer that wants only some of it starts from."""

    heartbeat_s: float | None = None

    def started(self, record: AgentRecord) -> None:
        """Say nothing."""

    def decided(self, seen: Observation, action: Action) -> None:
        """Say nothing."""

    def step(self, step: StepName) -> None:
        """Say nothing."""

    def ended(self, cycle: Cycle) -> None:
        """Say nothing."""

    def alive(self) -> None:
        """Say nothing."""

    def stopped(self, record: AgentRecord) -> None:
        """Say nothing."""
