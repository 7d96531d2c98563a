"""Showing figures as they come: a table that grows on a terminal, else a line for each interval."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from microseg.cli import bench_text, terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table

    from microseg.bench.figures import Figures

    Tell = Callable[[Figures], None]

_ROOM = 8
"""Lines of the terminal that are not the table's."""


@contextmanager
def shown(duration_s: float, *, filtered: bool, quiet: bool) -> Iterator[Tell]:
    """Give a function to tell figures to; quiet: none are shown."""
    if quiet:
        yield lambda _: None
    elif terminal.colors(terminal.Stream.OUTPUT):
        with _live(duration_s, filtered=filtered) as tell:
            yield tell
    else:
        terminal.say(bench_text.head(filtered=filtered))
        yield lambda figures: terminal.say(bench_text.line(figures, filtered=filtered))


@contextmanager
def _live(duration_s: float, *, filtered: bool) -> Iterator[Tell]:
    from rich.console import Console  # noqa: PLC0415  most runs have no terminal, and rich takes a while
    from rich.live import Live  # noqa: PLC0415  as above

    console = Console()
    seen: list[Figures] = []
    with Live(_table([], duration_s, filtered=filtered), console=console, auto_refresh=False) as live:

        def tell(figures: Figures) -> None:
            seen.append(figures)
            kept = seen[-max(console.height - _ROOM, 3) :]
            live.update(_table(kept, duration_s, filtered=filtered), refresh=True)

        yield tell


def _table(rows: list[Figures], duration_s: float, *, filtered: bool) -> Table:
    from rich.table import Table  # noqa: PLC0415  as above

    left = duration_s - rows[-1].ends_s if rows else duration_s
    caption = f"{left:.0f} s to go; an interrupt ends it" if left >= 0.5 else None
    table = Table(box=None, caption=caption, caption_justify="left", padding=(0, 0, 0, 1), pad_edge=False)
    for title, width, _ in bench_text.columns(filtered=filtered):
        table.add_column(title, justify="right", no_wrap=True, min_width=width)
    for number, row in enumerate(rows):
        style = "bold" if number == len(rows) - 1 and caption else ""
        table.add_row(*(text(row) for _, _, text in bench_text.columns(filtered=filtered)), style=style)
    return table
