"""The phases of a long look at a policy, for telling somebody who waits how far it is."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeAlias


class Phase(Enum):
    """A phase, in the order they come; the value is what is being done."""

    PARSE = "reading and parsing"
    RESOLVE = "working out groups and services"
    COMPILE = "compiling"
    ANALYSE = "looking for contradictions, proving tests"
    REMARK = "looking at every rule"
    COMPARE = "finding out what changes for packets"


Told: TypeAlias = Callable[[Phase, float], None]
"""Is called when a phase begins, and with the part of it that is done, where that is known."""


def untold(_phase: Phase, _done: float) -> None:
    """Tell nobody."""
