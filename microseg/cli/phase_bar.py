"""A bar on standard error while a policy is looked at: on a terminal, and only when it takes a while."""

from __future__ import annotations

from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from microseg.cli import terminal
from microseg.phases import Phase, untold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

    from microseg.phases import Told

PATIENCE_S = 0.7
"""What is over before this needs no bar."""

_BAR_WIDTH = 24

LINT = (Phase.PARSE, Phase.RESOLVE, Phase.COMPILE, Phase.ANALYSE, Phase.REMARK)
TEST = (Phase.PARSE, Phase.RESOLVE, Phase.COMPILE, Phase.ANALYSE)
PLAN = (Phase.PARSE, Phase.RESOLVE, Phase.COMPILE, Phase.ANALYSE, Phase.COMPARE)


@contextmanager
def shown(phases: tuple[Phase, ...], output_format: str = "text") -> Iterator[Told]:
    """Give what is to be told how far it is; the bar is gone at the end.

    Args:
        phases: those to expect, in their order.
        output_format: of the command; there is no bar for programs.

    """
    if output_format != "text" or not terminal.colors(terminal.Stream.ERROR):
        yield untold
        return
    bar = _Bar(phases)
    try:
        yield bar.tell
    finally:
        bar.close()


class _Bar:
    """A bar that appears when patience is over."""

    def __init__(self, phases: tuple[Phase, ...]) -> None:
        self._places = {phase: place for place, phase in enumerate(phases)}
        self._began = monotonic()
        self._drawn: tuple[Progress, TaskID] | None = None

    def tell(self, phase: Phase, done: float) -> None:
        """Move the bar, or begin to show it."""
        if self._drawn is None:
            if monotonic() - self._began < PATIENCE_S:
                return
            self._drawn = self._draw()
        progress, task = self._drawn
        progress.update(task, description=phase.value, completed=self._places[phase] + done, refresh=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._drawn:
            self._drawn[0].stop()

    def _draw(self) -> tuple[Progress, TaskID]:
        from rich.console import Console  # noqa: PLC0415  most runs need none of it, and it takes a while
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415  as above

        columns = (TextColumn("{task.description}"), BarColumn(_BAR_WIDTH), TimeElapsedColumn())
        progress = Progress(*columns, console=Console(stderr=True), transient=True)
        progress.start()
        return progress, progress.add_task("", total=len(self._places))
