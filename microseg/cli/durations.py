"""Spans of time on the command line: 90, 90s, 5m, 2h."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_LONGEST_S = 7 * 24 * 3600
_SHORTEST_S = 0.1


def seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> int:
    """Return what an option says in seconds, 0 when it isn't given; raises BadParameter."""
    del ctx, param
    if value is None:
        return 0
    written = re.fullmatch(r"(\d{1,9})([smh]?)", value)
    found = int(written[1]) * _UNITS[written[2]] if written else 0
    if not 1 <= found <= _LONGEST_S:
        raise click.BadParameter(
            f"{value!r} is no time from 1s to {_LONGEST_S // 3600}h, such as 90s, 5m or 2h"
        )
    return found


def words(seconds: int) -> str:
    """Return a time for people: 45 s, 4 min 30 s, 2 h 5 min."""
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    parts: Sequence[tuple[int, str]] = ((hours, "h"), (minutes, "min"), (rest if not hours else 0, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def span(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Return what an option says in seconds, fractions included; raises BadParameter."""
    del ctx, param
    written = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([smh]?)", value)
    found = float(written[1]) * _UNITS[written[2]] if written else 0.0
    if not _SHORTEST_S <= found <= _LONGEST_S:
        raise click.BadParameter(
            f"{value!r} is no time from {_SHORTEST_S}s to {_LONGEST_S // 3600}h, such as 0.5, 10s or 2m"
        )
    return found
