"""The agent's loop: look, decide, act, remember; then wait until something wakes it.

What it does follows from what it sees, never from what woke it. Killed at whatever point, it goes on from
the kernel and from its files; enforcement never depends on it (I8).
"""

from __future__ import annotations

import gc
import random
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import TYPE_CHECKING, assert_never

from microseg.agent_settings import Drift
from microseg.gitops import progress
from microseg.gitops.decide import decide
from microseg.gitops.inbox import Message
from microseg.gitops.observing import compare_kernel, view_kernel
from microseg.gitops.record import AgentRecord, Confirm, Cycle, GoBack, Observation, SetAside, Try, Wait
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.errors import ReconcileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from microseg.agent_settings import AgentSettings
    from microseg.gitops.control import Control
    from microseg.gitops.inbox import Inbox
    from microseg.gitops.observer import Observer
    from microseg.gitops.record import Action
    from microseg.gitops.record_store import RecordStore
    from microseg.gitops.sources import Source
    from microseg.gitops.trying import Tryer
    from microseg.reconcile.transaction import Host

ROUNDS = 8
"""Actions taken one after the other before the agent waits again, whatever is left to do."""

UNSETTLED_S = 0.2
"""Pause when files were being written while they were read."""

TRIAL_S = 0.5
"""Pause between two tries of the probes, while a new policy proves itself."""


MIDNIGHT = time_of_day()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything outside the agent.

    Attributes:
        source: where policies come from.
        tryer: brings one into force.
        host: opens the instance anew for each turn, because others may have replaced its maps.
        control: what others want of the agent.
        store: its files.
        inbox: what wakes it.
        observer: who watches it.
        rewatch: has the folders watched that exist now.
        probe: returns which connections fail.
        confirm: keeps the policy in force for good.
        go_back: puts the previous generation in force again.
        now: the time, UTC.
        spread: 0 .. 1, at random.

    """

    source: Source
    tryer: Tryer
    host: Callable[[], AbstractContextManager[Host]]
    control: Control
    store: RecordStore
    inbox: Inbox
    observer: Observer
    rewatch: Callable[[], None]
    probe: Callable[[], tuple[str, ...]]
    confirm: Callable[[Host], object]
    go_back: Callable[[Host], object]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    spread: Callable[[], float] = random.random


@dataclass(slots=True)
class Agent:
    """One agent.

    Attributes:
        around: everything outside.
        settings: of the agent.
        pid: its process.
        poll_s: how often to look where changes can't be heard of; 0: they can.
        record: what it remembers.

    """

    around: Surroundings
    settings: AgentSettings
    pid: int
    poll_s: float = 0.0
    record: AgentRecord = field(default_factory=AgentRecord)
    _settled: bool = True
    _on_trial: bool = False
    _warnings: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Go on until told to stop."""
        around = self.around
        self.record, self._warnings = around.store.read()
        self.record = replace(self.record, pid=self.pid)
        around.observer.started(self.record)
        gc.freeze()  # what is there now stays, so that collecting what comes takes no time
        messages: frozenset[Message] = frozenset()
        while Message.STOP not in messages:
            self.turn(messages)
            messages = self._wait()
        self.record = replace(self.record, pid=0, next_look=None)
        self._remember()
        around.observer.stopped(self.record)

    def turn(self, messages: frozenset[Message] = frozenset()) -> None:
        """Look, and act until there is nothing to do but wait."""
        self.around.rewatch()
        asked = Message.ASKED in messages
        for _ in range(ROUNDS):
            cycle = self._cycle(asked=asked)
            if isinstance(cycle.action, Wait) or (cycle.attempt and not cycle.attempt.succeeded):
                return
            asked = False

    def _cycle(self, *, asked: bool) -> Cycle:
        with self.around.host() as host:
            seen = self._observe(host, asked=asked)
            self.record = progress.seen(self.record, seen)
            action = decide(self.record, seen, self.settings)
            self.around.observer.decided(seen, action)
            cycle = self._act(host, seen, action)
        self._remember()
        cycle = replace(cycle, record=self.record, warnings=(*cycle.warnings, *self._warnings))
        self._warnings = []
        self.around.observer.ended(cycle)
        return cycle

    def _observe(self, host: Host, *, asked: bool) -> Observation:
        control = self.around.control
        look = self.around.source.look(self.record.desired)
        self._settled = look.settled
        seen = Observation(
            now=self.around.now(),
            candidate=look.candidate,
            problem=look.problem,
            rewritten=look.rewritten,
            suspension=control.suspension(),
            asked=asked or control.take_asked(),
        )
        try:
            kernel = view_kernel(host.plane)
            drift = compare_kernel(host) if self._is_drift_due(seen.now) else None
        except (KernelError, OSError) as error:
            return replace(seen, kernel_problem=str(error))
        self._on_trial = kernel.confirm_left_s > 0
        failed = self.around.probe() if kernel.confirm_left_s else None
        return replace(seen, kernel=kernel, drift=drift, probes_failed=failed)

    def _act(self, host: Host, seen: Observation, action: Action) -> Cycle:
        match action:
            case Wait():
                return Cycle(seen, action, self.record)
            case Try():
                return self._try(host, seen, action)
            case SetAside(candidate, why):
                self.record = progress.set_aside(self.record, candidate, why, seen.now)
                return Cycle(seen, action, self.record)
            case Confirm() | GoBack():
                return self._settle(host, seen, action)
            case _:
                assert_never(action)

    def _try(self, host: Host, seen: Observation, action: Try) -> Cycle:
        tried = self.around.tryer.run(host, action, self.around.observer.step)
        self.record = progress.tried(
            self.record, tried.attempt, self.settings, tried.digest, self.around.spread()
        )
        return Cycle(seen, action, self.record, tried.attempt, tried.warnings)

    def _settle(self, host: Host, seen: Observation, action: Confirm | GoBack) -> Cycle:
        """End the trial of a new policy. What goes back is set aside by the next look, which sees it."""
        try:
            (self.around.confirm if isinstance(action, Confirm) else self.around.go_back)(host)
        except (KernelError, ReconcileError, OSError) as error:
            return Cycle(seen, Wait(str(error)), self.record, warnings=(str(error),))
        return Cycle(seen, action, self.record)

    def _is_drift_due(self, now: datetime) -> bool:
        if self.settings.drift is Drift.OFF:
            return False
        last = self.record.drift
        return last is None or not timedelta(0) <= now - last.at < self._drift_interval()

    def _drift_interval(self) -> timedelta:
        return timedelta(seconds=self.settings.drift_interval_s)

    def _wait(self) -> frozenset[Message]:
        """Wait for a message or the next look, and meanwhile show signs of life."""
        gc.collect()  # netlink's objects refer to each other: none of them shall outlive a turn
        pause_s = self._pause_s()
        self.record = replace(self.record, next_look=self.around.now() + timedelta(seconds=pause_s))
        self._remember()
        until = time.monotonic() + pause_s
        while True:
            self.around.observer.alive()
            left_s = until - time.monotonic()
            beat_s = self.around.observer.heartbeat_s
            messages = self.around.inbox.wait(
                left_s if beat_s is None else min(left_s, beat_s), self.settings.debounce_s
            )
            if messages or left_s <= 0:
                return messages

    def _pause_s(self) -> float:
        """Return the time until something may have to be done that nobody will tell."""
        if not self._settled:
            return UNSETTLED_S
        now, record = self.around.now(), self.record
        pause_s = self.poll_s or progress.interval_s(self.settings, self.around.spread())
        if self._on_trial:
            pause_s = min(pause_s, TRIAL_S)
        due = [record.next_try]
        if record.drift and self.settings.drift is not Drift.OFF:
            due.append(record.drift.at + self._drift_interval())
        due.append(datetime.combine(now.date() + timedelta(days=1), MIDNIGHT, now.tzinfo))
        return max(0.0, min(pause_s, *((when - now).total_seconds() for when in due if when)))

    def _remember(self) -> None:
        """Write the record; a full disk must not end the agent."""
        try:
            self.around.store.write(self.record)
        except OSError as error:
            self._warnings.append(f"what the agent remembers can't be written: {error}")
