"""How diagnostics are shown: as text with the source underlined, or as JSON."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from microseg.diagnostics import Diagnostic, Label, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from microseg.source import Span

TAB_WIDTH = 4
MAX_SHOWN = 160
"""Characters of one source line that are shown; a longer line is cut around its underline."""
MAX_SAID = 1000
"""Characters of one message, label or help that are shown: a policy may have words of a megabyte."""
_CONTEXT = 40

_RESET = "\x1b[0m"
_FRAME_COLOR = "\x1b[1;34m"
_BOLD = "\x1b[1m"
_COLORS = {Severity.ERROR: "\x1b[1;31m", Severity.WARNING: "\x1b[1;33m", Severity.NOTE: "\x1b[1;36m"}


def render_text(diagnostics: Iterable[Diagnostic], sources: Mapping[str, str], *, color: bool = False) -> str:
    """Return diagnostics as text, in the given order, an empty line between two.

    Args:
        diagnostics: what to show.
        sources: the text of the files by path; a file that isn't there is shown without its lines.
        color: whether to use ANSI colours.

    """
    lines = {path: text.split("\n") for path, text in sources.items()}
    return "\n".join(_Frame(diagnostic, lines, color=color).text() for diagnostic in diagnostics)


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """Return diagnostics as a JSON array of objects, in the given order."""
    return json.dumps([as_object(diagnostic) for diagnostic in diagnostics], indent=2)


def as_object(diagnostic: Diagnostic) -> dict[str, object]:
    """Return one diagnostic as plain values for JSON; labels keep their order."""
    return {
        "code": diagnostic.code.value,
        "title": diagnostic.code.title,
        "severity": diagnostic.severity.value,
        "message": shortened(diagnostic.message),
        "span": _span_object(diagnostic.span),
        "labels": [
            {"span": _span_object(label.span), "text": shortened(label.text)} for label in diagnostic.labels
        ],
        "help": shortened(diagnostic.help),
    }


def shortened(text: str) -> str:
    """Return text of at most MAX_SAID characters, with what is in the middle left out."""
    if len(text) <= MAX_SAID:
        return text
    kept = MAX_SAID // 2
    return f"{text[: kept - 1]}…{text[-kept:]}"


def printable(text: str) -> str:
    """Return text with everything that could move or recolour a terminal's cursor written as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return " " * TAB_WIDTH if char == "\t" else char.encode("unicode_escape").decode("ascii")


def _width(text: str) -> int:
    """Return how many terminal columns printable text takes (Unicode Standard Annex 11)."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def _span_object(span: Span) -> dict[str, object]:
    return {
        "path": span.path,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }


@dataclass(frozen=True, slots=True)
class _Mark:
    """One underline: the place, the words beside it, and whether it is the diagnostic's own."""

    span: Span
    text: str
    primary: bool


class _Frame:
    """The picture of one diagnostic."""

    def __init__(self, diagnostic: Diagnostic, lines: Mapping[str, list[str]], *, color: bool) -> None:
        self._diagnostic = diagnostic
        self._lines = lines
        self._color = color
        self._marks = _marks(diagnostic)
        shown = [mark.span.line for mark in self._marks if self._source(mark.span) is not None]
        self._gutter = len(str(max(shown, default=1)))

    def text(self) -> str:
        """Return the picture, ending in a newline."""
        return "\n".join((self._title(), *self._body(), *self._help())) + "\n"

    def _title(self) -> str:
        diagnostic = self._diagnostic
        head = self._paint(
            f"{diagnostic.severity.value}[{diagnostic.code.value}]", _COLORS[diagnostic.severity]
        )
        return head + self._paint(f": {printable(shortened(diagnostic.message))}", _BOLD)

    def _body(self) -> Iterator[str]:
        arrow = "-->"
        for _, marks in groupby(self._marks, key=lambda mark: mark.span.path):
            if arrow == ":::":
                yield self._bar()
            of_file = list(marks)
            place = of_file[0].span
            pad = " " * self._gutter
            yield self._paint(f"{pad}{arrow} ", _FRAME_COLOR) + printable(str(place))
            yield from self._excerpt(of_file)
            arrow = ":::"
        if self._diagnostic.help:
            yield self._bar()

    def _excerpt(self, marks: list[_Mark]) -> Iterator[str]:
        """Yield the marked lines of one file in their order, each with its underlines."""
        marked = [mark for mark in marks if self._source(mark.span) is not None]
        if not marked:
            for mark in marks:
                if mark.text:
                    yield self._bar() + f"  {printable(shortened(mark.text))}"
            return
        yield self._bar()
        previous = 0
        by_line = sorted(marked, key=lambda mark: (mark.span.line, not mark.primary, mark.span.column))
        for line, on_line in groupby(by_line, key=lambda mark: mark.span.line):
            if previous and line > previous + 1:
                yield self._paint("...", _FRAME_COLOR)
            yield from self._line(line, list(on_line))
            previous = line

    def _line(self, number: int, marks: list[_Mark]) -> Iterator[str]:
        source = self._source(marks[0].span) or ""
        start, end = _window(source, marks[0].span.column - 1)
        shown = ("…" if start else "") + printable(source[start:end]) + ("…" if end < len(source) else "")
        yield self._paint(f"{number:>{self._gutter}} |", _FRAME_COLOR) + f" {shown}".rstrip()
        for mark in marks:
            yield self._bar() + self._underline(mark, source, start, end)

    def _underline(self, mark: _Mark, source: str, start: int, end: int) -> str:
        span = mark.span
        first = min(max(span.column - 1, start), end)
        last = len(source) if span.end_line > span.line else span.end_column - 1
        last = min(max(last, first), end)
        indent = _width(printable(source[start:first])) + (1 if start else 0)
        length = max(_width(printable(source[first:last])), 1)
        sign = "^" if mark.primary else "-"
        words = f" {printable(shortened(mark.text))}" if mark.text else ""
        color = _COLORS[self._diagnostic.severity] if mark.primary else _FRAME_COLOR
        return " " * (indent + 1) + self._paint(sign * length + words, color)

    def _help(self) -> Iterator[str]:
        pad = " " * self._gutter
        for position, line in enumerate(shortened(self._diagnostic.help).splitlines()):
            lead = "= help: " if position == 0 else " " * len("= help: ")
            yield self._paint(f"{pad} {lead}", _FRAME_COLOR) + printable(line)

    def _bar(self) -> str:
        return self._paint(f"{' ' * self._gutter} |", _FRAME_COLOR)

    def _source(self, span: Span) -> str | None:
        lines = self._lines.get(span.path)
        if lines is None or span.line > len(lines):
            return None
        return lines[span.line - 1].removesuffix("\r")

    def _paint(self, text: str, color: str) -> str:
        return f"{color}{text}{_RESET}" if self._color else text


def _marks(diagnostic: Diagnostic) -> list[_Mark]:
    """Return the underlines: the diagnostic's own file first, other files in the order of the labels."""
    beside = [label.text for label in diagnostic.labels if label.span == diagnostic.span]
    marks = [_Mark(diagnostic.span, "; ".join(beside), primary=True)]
    others: list[Label] = [label for label in diagnostic.labels if label.span != diagnostic.span]
    marks.extend(_Mark(label.span, label.text, primary=False) for label in others)
    paths = list(dict.fromkeys(mark.span.path for mark in marks))
    return sorted(marks, key=lambda mark: paths.index(mark.span.path))


def _window(source: str, at: int) -> tuple[int, int]:
    """Return which characters of a source line to show so that the one at `at` is among them."""
    if len(source) <= MAX_SHOWN:
        return 0, len(source)
    start = max(0, min(at - _CONTEXT, len(source) - MAX_SHOWN))
    return start, start + MAX_SHOWN
