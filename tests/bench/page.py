"""docs/performance.md, made of kept results and of the prose in page.md.in; nobody edits it by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.results import Section, Table, figure_text, limits_table, table_text

from microseg.bench.plots import Series, bars

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "performance.md"
FOLDER = ROOT / "docs" / "performance"
RESULTS = FOLDER / "results"
PROSE = Path(__file__).with_name("page.md.in")
_PLACE = re.compile(r"\{\{(?P<what>[a-z]+)(?: (?P<of>[^}]+))?\}\}")


@dataclass(frozen=True)
class Found:
    """What a benchmark found, and where and when (a date of ISO 8601)."""

    machine: str
    day: str
    section: Section


@dataclass(frozen=True)
class Page:
    """The page's text, and its plots by file name."""

    text: str
    plots: Mapping[str, str]


def keep(name: str, found: Found) -> None:
    """Keep what a benchmark found, in place of what it found before."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    content = {"machine": found.machine, "day": found.day, "section": json.loads(found.section.to_json())}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def kept() -> dict[str, Found]:
    """Return all that is kept, by the names of the benchmarks."""
    return {path.stem: _read(path) for path in sorted(RESULTS.glob("*.json"))}


def _read(path: Path) -> Found:
    content = json.loads(path.read_text(encoding="utf-8"))
    return Found(content["machine"], content["day"], Section.from_json(json.dumps(content["section"])))


def write(results: Mapping[str, Found]) -> None:
    """Write page and plots; plots that no page has any more go away."""
    made = render(results, PROSE.read_text(encoding="utf-8"))
    for left in FOLDER.glob("*.svg"):
        left.unlink()
    for name, plot in made.plots.items():
        (FOLDER / name).write_text(plot, encoding="utf-8")
    PAGE.write_text(made.text, encoding="utf-8")


def render(results: Mapping[str, Found], prose: str) -> Page:
    """Fill the places of the prose.

    {{limits}}                  every promise, kept or not, in the order of the benchmarks' places
    {{missed}}                  those that were not kept, as a list
    {{machine PART}}            where and when that benchmark ran
    {{tables PART}}             all its tables
    {{table PART: TITLE}}       one of them
    {{plot PART: TITLE: UNIT}}  one of them as bars
    """
    plots = {}
    for place in _PLACE.finditer(prose):
        if place["what"] == "plot":
            table, unit = _to_plot(results, place)
            plots[_plot_name(place, table)] = _plot(table, unit)
    in_turn = {
        name: results[name]
        for name in sorted(results, key=lambda name: prose.find(f"{{{{machine {name}}}}}"))
    }
    return Page(_PLACE.sub(lambda place: _filled(in_turn, place), prose), plots)


def _filled(results: Mapping[str, Found], place: re.Match[str]) -> str:
    part, *rest = _words(place)
    match place["what"]:
        case "limits":
            return "\n\n".join(_limits_by_part(results))
        case "missed":
            return _missed(results)
        case "machine":
            return f"{results[part].machine}, {results[part].day}"
        case "tables":
            return "\n\n".join(table_text(table) for table in results[part].section.tables)
        case "table":
            return table_text(_table(results[part], rest[0]))
        case "plot":
            table, _ = _to_plot(results, place)
            return f"![{table.title}](performance/{_plot_name(place, table)})"
        case other:
            raise ValueError(f"page.md.in: nothing is called {other}")


def _words(place: re.Match[str]) -> list[str]:
    return [word.strip() for word in (place["of"] or "").split(":")]


def _to_plot(results: Mapping[str, Found], place: re.Match[str]) -> tuple[Table, str]:
    """Return the table, and the unit of its figures."""
    part, title, unit = _words(place)
    return _table(results[part], title), unit


def _plot_name(place: re.Match[str], table: Table) -> str:
    return f"{_words(place)[0]}-{re.sub(r'[^a-z0-9]+', '-', table.title.lower()).strip('-')}.svg"


def _limits_by_part(results: Mapping[str, Found]) -> Iterator[str]:
    for name, found in results.items():
        if found.section.limits:
            title = f"**{found.section.name}** (`make bench BENCH={name}`)"
            yield f"{title}\n\n{limits_table(found.section.limits)}"


def _missed(results: Mapping[str, Found]) -> str:
    missed = [limit for found in results.values() for limit in found.section.limits if not limit.held]
    if not missed:
        return "Every limit was held in this run."
    return "\n".join(f"- {limit.what}: {figure_text(limit.measured)}, {limit.bound}" for limit in missed)


def _table(found: Found, title: str) -> Table:
    for table in found.section.tables:
        if table.title == title:
            return table
    titles = ", ".join(table.title for table in found.section.tables)
    raise ValueError(f"page.md.in: no table {title!r}; there are {titles}")


def _plot(table: Table, unit: str) -> str:
    series = [
        Series(column, tuple(row.figures[number] for row in table.rows))
        for number, column in enumerate(table.columns)
    ]
    return bars(table.title.removesuffix(f", {unit}"), unit, [row.name for row in table.rows], series)
