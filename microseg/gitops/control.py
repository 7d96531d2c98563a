"""How others speak to a running agent: files that say what shall be, so that nothing is lost while it's down.

STATE_DIR/suspended.json    there while the agent is to leave everything as it is
RUN_DIR/agent/trigger       touched: look now; with the word `now` in it: try, whatever failed before
RUN_DIR/agent/lock          held by the agent
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from microseg.gitops.record import Suspension
from microseg.gitops.record_store import AGENT_DIR
from microseg.reconcile import durable
from microseg.reconcile.errors import LockHeldError
from microseg.reconcile.lock import Lock

if TYPE_CHECKING:
    from pathlib import Path

LOOKERS_S = 1.0
"""How long to wait for somebody who only looks whether the lock is held."""

ASKED = "now"
"""What a trigger says when somebody wants a try whatever failed before."""


class Control:
    """The files of one instance."""

    def __init__(self, state_dir: Path, run_dir: Path) -> None:
        self._suspended = state_dir / "suspended.json"
        self.folder = run_dir / AGENT_DIR
        self.trigger = self.folder / "trigger"

    def lock(self, command: str) -> Lock:
        """Return the lock that tells a running agent from one that has ended."""
        return Lock(self.folder, command, LOOKERS_S)

    def is_running(self) -> bool:
        """Say whether an agent holds its lock. Raises OSError."""
        if not self.folder.is_dir():
            return False
        try:
            with Lock(self.folder, "looking whether an agent runs"):
                return False
        except LockHeldError:
            return True

    def suspend(self, suspension: Suspension) -> None:
        """Let the agent leave everything as it is, also after a restart. Raises OSError."""
        content = {
            "who": suspension.who,
            "why": suspension.why,
            "since": suspension.since.isoformat(),
        }
        durable.write(self._suspended, json.dumps(content, ensure_ascii=False).encode() + b"\n")
        self.wake()

    def resume(self) -> bool:
        """Let the agent go on; False: it wasn't suspended. Raises OSError."""
        try:
            self._suspended.unlink()
        except FileNotFoundError:
            return False
        durable.sync_directory(self._suspended.parent)
        self.wake()
        return True

    def suspension(self) -> Suspension | None:
        """Return who suspended the agent; a file that can't be read suspends as well. Raises OSError."""
        try:
            content = self._suspended.read_bytes()
        except FileNotFoundError:
            return None
        try:
            value = json.loads(content)
            return Suspension(str(value["who"]), str(value["why"]), datetime.fromisoformat(value["since"]))
        except (KeyError, TypeError, ValueError):
            since = datetime.fromtimestamp(self._suspended.stat().st_mtime).astimezone()
            return Suspension("somebody", f"{self._suspended} can't be read", since)

    def wake(self, *, asked: bool = False) -> None:
        """Let the agent look now. Raises OSError."""
        durable.make_directory(self.folder)
        self.trigger.write_text(ASKED if asked else "", encoding="ascii")

    def take_asked(self) -> bool:
        """Say whether a try was asked for, and forget it. Raises OSError."""
        try:
            asked = self.trigger.read_text(encoding="ascii", errors="replace").strip() == ASKED
        except FileNotFoundError:
            return False
        if asked:
            self.trigger.write_text("", encoding="ascii")
        return asked
