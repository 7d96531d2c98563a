"""Telling a waiting operator which step an apply is at; only when a terminal is there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from microseg.cli import terminal
from microseg.reconcile.apply import StepName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORDS = {
    StepName.LOCK: "waiting for the lock",
    StepName.READ: "reading what is in the kernel",
    StepName.COMPILE: "compiling the policy",
    StepName.GUARD: "asking the guards",
    StepName.LOAD: "compiling and verifying the program",
    StepName.STAGE: "filling the standby slot",
    StepName.VERIFY: "reading the standby slot back",
    StepName.PROBE: "asking the kernel about packets",
    StepName.NOTE: "writing down what it is",
    StepName.ATTACH: "attaching",
    StepName.FLIP: "switching",
    StepName.WAIT: "waiting for packets on their way",
    StepName.RECORD: "recording",
}


@contextmanager
def of_steps() -> Iterator[Callable[[StepName], None]]:
    """Give a function to tell the steps to."""
    if not terminal.colors(terminal.Stream.ERROR):
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415  most runs have no terminal, and rich takes a while
    from rich.status import Status  # noqa: PLC0415  as above

    with Status("beginning", console=Console(stderr=True)) as status:
        yield lambda step: status.update(WORDS[step])
