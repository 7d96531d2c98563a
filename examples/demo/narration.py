"""What the demonstration says on the screen, and what it holds itself to."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BOLD, DIM, GREEN, RED, CYAN = "1", "2", "32", "31", "36"
MARGIN = "    "


class UntrueError(Exception):
    """Something isn't as the demonstration says."""


class Narrator:
    """Speaks to the screen."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._acts = 0
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._width = min(shutil.get_terminal_size().columns, 110)

    def act(self, title: str) -> None:
        """Begin a part."""
        self._acts += 1
        self._print()
        self._print(self._paint(f"{self._acts}. {title}", BOLD))
        self._print()

    def say(self, text: str) -> None:
        """Explain; the text is filled."""
        for line in textwrap.wrap(" ".join(text.split()), self._width):
            self._print(line)
        self._print()

    def show(self, text: str) -> None:
        """Show what a program or a file says, as it is."""
        for line in text.rstrip("\n").splitlines():
            self._print(MARGIN + line)
        self._print()

    def command(self, command: Sequence[str]) -> None:
        """Show what is typed."""
        self._print(MARGIN + self._paint(f"$ {shlex.join(command)}", CYAN))

    def result(self, subject: str, outcome: str, *, expected: bool) -> None:
        """Show an outcome; raises UntrueError when it isn't the expected one."""
        mark = self._paint("ok", GREEN) if expected else self._paint("NOT AS SAID", RED)
        self._print(f"{MARGIN}{subject:<32} {outcome:<46} {mark}")
        if not expected:
            raise UntrueError(f"{subject.strip()}: {outcome}")

    def pause(self) -> None:
        """Leave an empty line."""
        self._print()

    def end(self) -> None:
        """Say that all of it was true."""
        self._print(self._paint(f"Everything was as said, in {time.monotonic() - self._began:.0f} s.", BOLD))

    def fail(self, reason: str) -> None:
        """Say what was not."""
        sys.stdout.flush()
        print(f"\ndemo: {reason}", file=sys.stderr)

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text

    def _print(self, line: str = "") -> None:
        print(line, flush=True)
