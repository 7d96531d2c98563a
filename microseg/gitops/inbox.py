"""What wakes the agent. Every message means `look`; which one it is only decides how soon."""

from __future__ import annotations

import queue
import time
from enum import Enum


class Message(Enum):
    """Why to look."""

    LOOK = "look"
    """At once: a commit is whole when one hears of it."""
    FILES = "files"
    """When they rest: files are written one after the other."""
    ASKED = "asked"
    """At once, and try whatever failed before."""
    SUSPEND = "suspend"
    RESUME = "resume"
    STOP = "stop"


class Inbox:
    """Messages from watchers, signals and timers; safe to put into from a signal handler and any thread."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def put(self, message: Message) -> None:
        """Add a message."""
        self._messages.put(message)

    def wait(self, pause_s: float, rest_s: float) -> frozenset[Message]:
        """Return all messages there are, as soon as there is one; empty after the pause.

        Args:
            pause_s: for how long to wait for the first.
            rest_s: when there are only FILES: until so long no other came, but ten times that at most.

        """
        found = self._next(pause_s)
        if not found:
            return frozenset()
        messages = {found} | self._drain()
        until = time.monotonic() + 10 * rest_s
        while messages == {Message.FILES} and time.monotonic() < until:
            found = self._next(min(rest_s, until - time.monotonic()))
            if not found:
                break
            messages |= {found} | self._drain()
        return frozenset(messages)

    def _next(self, timeout_s: float) -> Message | None:
        try:
            return self._messages.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None

    def _drain(self) -> set[Message]:
        messages = set()
        while True:
            try:
                messages.add(self._messages.get_nowait())
            except queue.Empty:
                return messages
