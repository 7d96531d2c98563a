"""Plots as SVG text: bars to compare, lines over time. Both are readable in light and dark surroundings.

The same figures give the same bytes, so that a plot in the repository changes only with what it shows, and
nothing in it is loaded from elsewhere. (pygal, which was tried, writes the day and addresses of sites into
each file, knows one colour scheme at a time, and needs a script.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from microseg.bench.scales import short, ticks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH = 760
_HEIGHT = 192
"""Of the area of lines."""
_BOTTOM, _SIDE = 44, 24
_LEGEND, _ROW = 40, 22
"""Where the legend begins, and how high a row of it is."""
_BAR, _GAP, _BETWEEN = 16, 3, 14
_LETTER = 6.6
"""Pixels of a letter, at most on average: fonts differ."""

_LIGHT = ("#0072b2", "#d55e00", "#009e73", "#a0527f", "#8a6d00", "#3b8fb8", "#555555", "#b03a2e")
_DARK = ("#56b4e9", "#e69f00", "#2fc79b", "#dd96bf", "#f0e442", "#9fd3f0", "#bbbbbb", "#ff8a7a")
"""After Okabe and Ito: told apart by the colour-blind too."""


@dataclass(frozen=True, slots=True)
class Series:
    """Figures that belong together, a colour in a plot; None where there is none."""

    name: str
    values: tuple[float | None, ...]


def bars(title: str, unit: str, labels: Sequence[str], series: Sequence[Series]) -> str:
    """Return horizontal bars: for each label one of each series, with its figure beside it."""
    _require_same_lengths(len(labels), series)
    group = len(series) * (_BAR + _GAP) + _BETWEEN
    plot = _Plot(title, unit, group * len(labels), series)
    left = min(WIDTH / 2, max((len(label) for label in labels), default=0) * _LETTER + _SIDE + 8)
    marks = ticks(0.0, max(_figures(series), default=1.0))
    scale = (WIDTH - left - _SIDE - 48) / marks[-1]
    for mark in marks:
        at = left + mark * scale
        plot.line("grid", (at, plot.top), (at, plot.bottom))
        plot.text("tick", (at, plot.bottom + 16), short(mark), "middle")
    plot.text("tick", (left, plot.bottom + 34), unit)
    for number, label in enumerate(labels):
        top = plot.top + number * group + _BETWEEN / 2
        plot.text("label", (left - 8, top + (group - _BETWEEN) / 2 + 3), label, "end")
        for color, each in enumerate(series):
            plot.bar(left, top + color * (_BAR + _GAP), each.values[number], scale, color)
    plot.line("axis", (left, plot.top), (left, plot.bottom))
    return plot.svg()


def lines(title: str, unit: str, across: str, places: Sequence[float], series: Sequence[Series]) -> str:
    """Return lines over `across`, such as seconds, a point for each place, and a gap where there is None."""
    _require_same_lengths(len(places), series)
    plot = _Plot(title, unit, _HEIGHT, series)
    found = _figures(series)
    marks = ticks(min(0.0, *found, 0.0), max(found, default=1.0))
    steps = ticks(min(places, default=0.0), max(places, default=1.0), about=8)
    left = _SIDE + 6 + max(len(short(mark)) for mark in marks) * _LETTER
    bottom, right = plot.bottom, WIDTH - _SIDE
    x_scale, y_scale = (right - left) / (steps[-1] - steps[0]), _HEIGHT / (marks[-1] - marks[0])

    def at(place: float, figure: float) -> tuple[float, float]:
        return left + (place - steps[0]) * x_scale, bottom - (figure - marks[0]) * y_scale

    for mark in marks:
        _, y = at(steps[0], mark)
        plot.line("grid", (left, y), (right, y))
        plot.text("tick", (left - 6, y + 4), short(mark), "end")
    for step in steps:
        x, _ = at(step, marks[0])
        plot.line("grid", (x, bottom), (x, bottom + 4))
        plot.text("tick", (x, bottom + 16), short(step), "middle")
    plot.text("tick", ((left + right) / 2, bottom + 34), across, "middle")
    for color, each in enumerate(series):
        points = [
            None if figure is None else at(place, figure)
            for place, figure in zip(places, each.values, strict=True)
        ]
        plot.curve(points, color)
    plot.line("axis", (left, bottom), (right, bottom))
    return plot.svg()


class _Plot:
    """An SVG image under construction: title, what the colours stand for, and an area from top to bottom."""

    def __init__(self, title: str, unit: str, height: float, series: Sequence[Series]) -> None:
        legend = list(_legend(series)) if len(series) > 1 else []
        self.top = max((y for _, y in legend), default=_LEGEND - _ROW) + _ROW + 4.0
        self.bottom = self.top + height
        size = {"width": str(WIDTH), "height": _pixels(self.bottom + _BOTTOM)}
        view = {"viewBox": f"0 0 {WIDTH} {size['height']}", "role": "img", "class": "msplot"}
        self._root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg"} | size | view)
        ET.SubElement(self._root, "title").text = f"{title}, {unit}"
        ET.SubElement(self._root, "style").text = _style()
        self._add("rect", "paper", size)
        self.text("head", (_SIDE, 26), f"{title}, {unit}")
        for color, ((x, y), each) in enumerate(zip(legend, series, strict=False)):
            box = {"x": _pixels(x), "y": _pixels(y), "width": "12", "height": "12"}
            self._add("rect", f"fill{color % len(_LIGHT)}", box)
            self.text("tick", (x + 18, y + 10), each.name)

    def line(self, kind: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw a line."""
        ends = {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
        self._add("line", kind, {name: _pixels(value) for name, value in ends.items()})

    def text(self, kind: str, at: tuple[float, float], words: str, anchor: str = "start") -> None:
        """Write words, beginning, centred or ending there."""
        place = {"x": _pixels(at[0]), "y": _pixels(at[1]), "text-anchor": anchor}
        self._add("text", kind, place).text = words

    def bar(self, left: float, top: float, figure: float | None, scale: float, color: int) -> None:
        """Draw a bar to the right and write its figure; a dash when there is none."""
        length = (figure or 0.0) * scale
        if length:
            box = {"x": left, "y": top, "width": length, "height": _BAR}
            kind = f"fill{color % len(_LIGHT)}"
            self._add("rect", kind, {name: _pixels(value) for name, value in box.items()})
        words = "–" if figure is None else short(figure)  # noqa: RUF001  a dash, as in tables
        self.text("tick", (left + length + 6, top + _BAR - 4), words)

    def curve(self, points: Sequence[tuple[float, float] | None], color: int) -> None:
        """Join points; None is a gap, and a point alone a dot."""
        pieces: list[list[tuple[float, float]]] = [[]]
        for point in points:
            if point is None:
                pieces.append([])
            else:
                pieces[-1].append(point)
        kind = color % len(_LIGHT)
        for piece in pieces:
            if len(piece) == 1:
                spot = {"cx": _pixels(piece[0][0]), "cy": _pixels(piece[0][1]), "r": "2.5"}
                self._add("circle", f"fill{kind}", spot)
            elif piece:
                joined = " ".join(f"{_pixels(x)},{_pixels(y)}" for x, y in piece)
                self._add("polyline", f"line{kind}", {"points": joined})

    def svg(self) -> str:
        """Return the image."""
        return ET.tostring(self._root, encoding="unicode")

    def _add(self, tag: str, kind: str, more: dict[str, str]) -> ET.Element:
        return ET.SubElement(self._root, tag, {"class": kind} | more)


def _legend(series: Sequence[Series]) -> Iterator[tuple[float, float]]:
    """Yield where each series is named, in as many rows as it takes."""
    x, y = float(_SIDE), float(_LEGEND)
    for each in series:
        width = 18 + len(each.name) * _LETTER + 16
        if x > _SIDE and x + width > WIDTH:
            x, y = float(_SIDE), y + _ROW
        yield x, y
        x += width


def _style() -> str:
    light = _scheme("#ffffff", "#1a1a1a", "#d8d8d8", _LIGHT)
    dark = _scheme("#16191d", "#e8e8e8", "#3a3f45", _DARK)
    return (
        ".msplot text{font:12px system-ui,sans-serif}.msplot .head{font-size:15px;font-weight:600}"
        f".msplot polyline{{fill:none;stroke-width:2}}{light}@media (prefers-color-scheme:dark){{{dark}}}"
    )


def _scheme(paper: str, ink: str, grid: str, colors: Sequence[str]) -> str:
    return (
        f".msplot .paper{{fill:{paper}}}.msplot text{{fill:{ink}}}"
        f".msplot .grid{{stroke:{grid}}}.msplot .axis{{stroke:{ink}}}"
        + "".join(
            f".msplot .fill{number}{{fill:{color}}}.msplot .line{number}{{stroke:{color}}}"
            for number, color in enumerate(colors)
        )
    )


def _figures(series: Sequence[Series]) -> list[float]:
    return [figure for each in series for figure in each.values if figure is not None]


def _require_same_lengths(count: int, series: Sequence[Series]) -> None:
    for each in series:
        assert len(each.values) == count, f"{each.name} has {len(each.values)} figures for {count} places"


def _pixels(length: float) -> str:
    return f"{length:.1f}".removesuffix(".0")
