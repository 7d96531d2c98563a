"""Telling the service manager how the agent is: ready, alive, what it does, ending. See sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from microseg.gitops.observer import Silent
from microseg.gitops.record import Confirm, GoBack, SetAside, Try, Wait
from microseg.reconcile.revision import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microseg.gitops.record import Action, AgentRecord, Cycle, Observation
    from microseg.reconcile.apply import StepName

SIGNS_PER_PERIOD = 3
"""Signs of life within the time after which the manager takes the agent for dead."""

LONGEST_STATUS = 200

LONGEST_SEND_S = 0.5
"""So long a manager that is busy is waited for."""


class ServiceManager(Silent):
    """An observer that writes to NOTIFY_SOCKET; without one it says nothing.

    Nobody's absence at the other end can disturb the agent: what can't be sent is dropped.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self.heartbeat_s = _heartbeat_s(environment) if path else None

    def started(self, record: AgentRecord) -> None:
        """Say that the agent is up; what was in force before it is in force still."""
        applied = record.applied
        words = f"goes on from {describe(applied.candidate.revision)}" if applied else "nothing applied yet"
        self._send("READY=1", f"STATUS={words}")

    def decided(self, seen: Observation, action: Action) -> None:
        """Say what is being done."""
        del seen
        self._send("WATCHDOG=1", f"STATUS={_words(action)}")

    def step(self, step: StepName) -> None:
        """Say that an apply goes on."""
        self._send("WATCHDOG=1", f"STATUS=applying: {step.value}")

    def ended(self, cycle: Cycle) -> None:
        """Say what came of it."""
        attempt = cycle.attempt
        if attempt is None:
            return
        name = describe(attempt.candidate.revision)
        words = f"generation {attempt.generation} is in force: {name}"
        if not attempt.succeeded:
            words = f"{name} {attempt.outcome.value}: {attempt.message}"
        self._send("WATCHDOG=1", f"STATUS={words}")

    def alive(self) -> None:
        """Show a sign of life."""
        if self.heartbeat_s is not None:
            self._send("WATCHDOG=1")

    def stopped(self, record: AgentRecord) -> None:
        """Say that the agent ends."""
        del record
        self._send("STOPPING=1", "STATUS=the agent ends; enforcement goes on")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        text = "\n".join(" ".join(line.split())[:LONGEST_STATUS] for line in lines)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(LONGEST_SEND_S)
            sender.sendto(text.encode(errors="replace"), self._address)


def _heartbeat_s(environment: Mapping[str, str]) -> float | None:
    """Return how often to show a sign of life; None when the manager wants none, or wants it of another."""
    period_us, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not period_us.isdecimal() or int(period_us) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(period_us) / 1e6 / SIGNS_PER_PERIOD


def _words(action: Action) -> str:
    match action:
        case Try(candidate, reason):
            return f"{reason.value}: {describe(candidate.revision)}"
        case GoBack(why) | SetAside(_, why):
            return f"going back: {why}"
        case Confirm():
            return "confirming"
        case Wait(why):
            return why
