"""What a benchmark found, as data: printed as Markdown, and kept as JSON for the page that shows them all."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table; None where there is nothing to measure."""

    name: str
    figures: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Figures side by side.

    Attributes:
        title: what they are about.
        columns: what each figure of a row is, with its unit; one fewer than the table is wide.
        rows: in the order to show.
        command: what measures them, as typed.
        note: what a reader has to know about them.

    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    command: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A promise: what was measured is at most, or at least, so much."""

    what: str
    measured: float
    most: float | None = None
    least: float | None = None

    @property
    def held(self) -> bool:
        """Whether it was kept."""
        too_much = self.most is not None and self.measured > self.most
        too_little = self.least is not None and self.measured < self.least
        return not too_much and not too_little

    @property
    def bound(self) -> str:
        """What was promised, in words."""
        bounds = (("at most", self.most), ("at least", self.least))
        return ", ".join(f"{word} {figure_text(bound)}" for word, bound in bounds if bound is not None)


@dataclass(frozen=True, slots=True)
class Section:
    """All that one benchmark found."""

    name: str
    tables: tuple[Table, ...]
    limits: tuple[Limit, ...]

    def to_json(self) -> str:
        """Return it as text that `from_json` understands."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Section:
        """Return what was written by `to_json`."""
        content = json.loads(text)
        tables = tuple(
            Table(
                each["title"],
                tuple(each["columns"]),
                tuple(Row(row["name"], tuple(row["figures"])) for row in each["rows"]),
                each["command"],
                each["note"],
            )
            for each in content["tables"]
        )
        return cls(content["name"], tables, tuple(Limit(**each) for each in content["limits"]))

    def markdown(self) -> str:
        """Return tables and limits as they are printed."""
        return "\n\n".join([*(table_text(each) for each in self.tables), limits_table(self.limits)]) + "\n"

    def write(self, path: Path | None) -> None:
        """Keep it in a file, if one was asked for (`--json FILE`)."""
        if path:
            path.write_text(self.to_json(), encoding="utf-8")

    @property
    def exit_code(self) -> int:
        """1 if a limit was missed."""
        return int(not all(limit.held for limit in self.limits))


def report(measured: Callable[[], Section], about: str | None) -> int:
    """Be the command of a benchmark: measure, say what was found, and return 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the result in this file")
    file = parser.parse_args().json
    found = measured()
    sys.stdout.write(found.markdown())
    found.write(file)
    return found.exit_code


def table_text(table: Table) -> str:
    """Return a table in Markdown, with its command above and its note below."""
    lines = [f"### {table.title}", "", f"    {table.command}", ""]
    lines += [_cells(("", *table.columns)), "|" + "---|" * (len(table.columns) + 1)]
    lines += [_cells((row.name, *map(figure_text, row.figures))) for row in table.rows]
    return "\n".join([*lines, *(["", table.note] if table.note else [])])


def limits_table(limits: tuple[Limit, ...]) -> str:
    """Return promises in Markdown, kept and missed."""
    lines = ["| Promise | Measured | | |", "|---|---|---|---|"]
    lines += [
        _cells((each.what, figure_text(each.measured), each.bound, "" if each.held else "**missed**"))
        for each in limits
    ]
    return "\n".join(lines)


def _cells(texts: tuple[str, ...]) -> str:
    return f"| {' | '.join(texts)} |"


def figure_text(number: float | None) -> str:
    """Return a figure with three digits at least, or nothing."""
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
