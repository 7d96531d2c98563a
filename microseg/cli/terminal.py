"""Printing: colours only where somebody sees them, and the few shapes of output all commands share."""

from __future__ import annotations

import json
import os
import sys
from enum import Enum
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Stream(Enum):
    """Where a text goes."""

    OUTPUT = "stdout"
    ERROR = "stderr"


class Align(Enum):
    """How a column stands."""

    LEFT = "<"
    RIGHT = ">"


def colors(stream: Stream) -> bool:
    """Say whether colours are wanted: a terminal, and no NO_COLOR (https://no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    file = sys.stdout if stream is Stream.OUTPUT else sys.stderr
    return file is not None and file.isatty()


def say(text: str = "", **style: Any) -> None:  # noqa: ANN401  click's styles
    """Print a line on standard output."""
    color = colors(Stream.OUTPUT)
    click.echo(click.style(text, **style) if style and color else text, color=color)


def fail(text: str) -> None:
    """Say on standard error that the command failed."""
    _labelled("error", text, "red")


def warn(text: str) -> None:
    """Say on standard error what the operator should know."""
    _labelled("warning", text, "yellow")


def remark(label: str, text: str) -> None:
    """Add a line to what was said on standard error."""
    color = colors(Stream.ERROR)
    lead = f"{label:>7}: "
    click.echo((click.style(lead, fg="cyan") if color else lead) + text, err=True, color=color)


def pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Print what belongs to a headline: a name and a value in each line, empty values left out."""
    for name, value in rows:
        if value:
            say(f"  {name:<10}{value}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: Sequence[Align]) -> None:
    """Print columns; the last one is as long as it is."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for number, line in enumerate(lines):
        cells = [f"{cell:{side.value}{width}}" for cell, side, width in zip(line, align, widths, strict=True)]
        say("  ".join(cells).rstrip(), **({} if number else {"bold": True}))


def dump(value: Any) -> None:  # noqa: ANN401  whatever JSON can say
    """Print a value as JSON; a file name that isn't UTF-8 is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo(text.encode(errors="backslashreplace"))


def _labelled(label: str, text: str, style: str) -> None:
    color = colors(Stream.ERROR)
    lead = click.style(f"{label}:", fg=style, bold=True) if color else f"{label}:"
    click.echo(f"{lead} {text}", err=True, color=color)


def count(number: int, word: str, plural: str = "") -> str:
    """Return a number with its word: 1 entry, 2 entries."""
    return f"{number} {word if number == 1 else plural or word + 's'}"
