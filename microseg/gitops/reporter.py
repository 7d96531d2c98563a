"""An observer that reports back, in a thread of its own: nothing here can delay or fail an apply."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from microseg.gitops.errors import GitError
from microseg.gitops.observer import Silent
from microseg.gitops.reports import report_of
from microseg.gitops.webhook import WebhookError

if TYPE_CHECKING:
    from collections.abc import Callable

    from microseg.gitops.notes import Notes
    from microseg.gitops.record import AgentRecord, Cycle
    from microseg.gitops.reports import Report
    from microseg.gitops.webhook import Webhook

WAITING = 100
"""Reports that may wait; when there are more, the newest is lost, and that is said."""

PAUSES_S = (1.0, 4.0, 15.0)
"""Before each further try of a request that failed."""

END_S = 5.0
"""For how long the end of the agent waits for what isn't reported yet."""


class Reporter(Silent):
    """Reports every try by a webhook, by notes, or both.

    Args:
        host: how this host is called.
        complain: is told what could not be reported; called in the thread.
        webhook: None: none.
        notes: None: none.
        pauses_s: before each further try.

    """

    def __init__(
        self,
        host: str,
        complain: Callable[[str], None],
        webhook: Webhook | None,
        notes: Notes | None,
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self._host, self._complain = host, complain
        self._webhook, self._notes = webhook, notes
        self._pauses_s = pauses_s
        self._waiting: queue.Queue[Report | None] = queue.Queue(WAITING)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="reporter", daemon=True)
        self._thread.start()

    def ended(self, cycle: Cycle) -> None:
        """Put a try into the queue."""
        report = report_of(cycle.attempt, self._host) if cycle.attempt else None
        if report is None:
            return
        try:
            self._waiting.put_nowait(report)
        except queue.Full:
            self._complain(f"a report is lost: {WAITING} others wait already")

    def stopped(self, record: AgentRecord) -> None:
        """Report what waits, for a few seconds, without trying again what fails."""
        del record
        self._ending.set()
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(END_S)

    def _serve(self) -> None:
        while report := self._waiting.get():
            self._send(report)
            self._note(report)

    def _send(self, report: Report) -> None:
        if self._webhook is None:
            return
        for pause_s in (*self._pauses_s, None):
            try:
                self._webhook.send(report)
            except WebhookError as error:
                if pause_s is None or error.lasting or self._ending.wait(pause_s):
                    self._complain(f"not reported: {error}")
                    return
            else:
                return

    def _note(self, report: Report) -> None:
        if self._notes is None:
            return
        try:
            self._notes.write(report)
        except (GitError, OSError) as error:
            self._complain(f"no note of it: {error}")
