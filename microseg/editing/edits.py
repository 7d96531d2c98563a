"""Edits of a text by spans: made against the text as it was parsed, applied together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from microseg.lang.ast import Comment
    from microseg.source import Span

_BLANKS = " \t\r"
_LINE_END = re.compile("\n")


@dataclass(frozen=True, slots=True)
class Edit:
    """What to put in the place of a stretch of text."""

    span: Span
    text: str


class Lines:
    """A text whose places are known by line and column."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0]
        self._starts += [found.end() for found in _LINE_END.finditer(text)]

    def offset(self, line: int, column: int) -> int:
        """Return where a place is, counted from the start of the text."""
        return min(self._starts[min(line, len(self._starts)) - 1] + column - 1, len(self.text))

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset."""
        low, high = 0, len(self._starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._starts[middle] <= offset else (low, middle)
        return low + 1, offset - self._starts[low] + 1

    def ends(self, span: Span) -> tuple[int, int]:
        """Return where a span starts and ends."""
        return self.offset(span.line, span.column), self.offset(span.end_line, span.end_column)


@lru_cache(maxsize=1)
def lines_of(text: str) -> Lines:
    """Return the lines of a text, the same as last time when it is the same: a file may have many edits."""
    return Lines(text)


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with all edits made; one that overlaps an earlier one is left out."""
    lines = lines_of(text)
    out: list[str] = []
    done = 0
    for (start, end), edit in sorted((lines.ends(edit.span), edit) for edit in dict.fromkeys(edits)):
        if start < done:
            continue
        out += [text[done:start], edit.text]
        done = end
    return "".join([*out, text[done:]])


def removal(text: str, span: Span, comments: Sequence[Comment]) -> Edit:
    """Return the edit that takes something out, whole lines where nothing else stands on them.

    Args:
        text: the file's.
        span: what goes.
        comments: the file's; those inside the span stay, each on a line of its own.

    """
    lines = lines_of(text)
    start, end = lines.ends(span)
    end = _behind_comma(text, end, dict(lines.ends(comment.span) for comment in comments))
    kept = [comment for comment in comments if start <= lines.ends(comment.span)[0] < end]
    before = text[text.rfind("\n", 0, start) + 1 : start]
    behind = text[end : _line_end(text, end)]
    line_break = "\r\n" if behind.endswith("\r") else "\n"
    indent = before if not before.strip(_BLANKS) else ""
    replacement = f"{line_break}{indent}".join(comment.text for comment in kept)
    if before.strip(_BLANKS):  # something else stands in front: only blanks go with it
        start -= len(before) - len(before.rstrip(_BLANKS))
        replacement = f"  {replacement}" if kept else ""
    if behind.strip(_BLANKS):  # something else stands behind, and must not become part of a comment
        if not before.strip(_BLANKS):
            end += len(behind) - len(behind.lstrip(_BLANKS))
        replacement += f"{line_break}{indent}" if kept else ""
    elif not before.strip(_BLANKS) and not kept:
        start -= len(before)
        end = _without_double_gap(text, start, min(_line_end(text, end) + 1, len(text)))
    (line, column), (end_line, end_column) = lines.place(start), lines.place(end)
    return Edit(type(span)(span.path, line, column, end_line, end_column), replacement)


def _behind_comma(text: str, offset: int, comments: Mapping[int, int]) -> int:
    """Return the offset moved behind a trailing comma, which no statement starts with.

    Comments are given as their start and end.
    """
    at = offset
    while at < len(text):
        if text[at] == ",":
            return at + 1
        if at in comments:
            at = comments[at]
        elif text[at].isspace():
            at += 1
        else:
            break
    return offset


def _line_end(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end


def _without_double_gap(text: str, start: int, end: int) -> int:
    """Return the end moved behind one empty line, where two would be left together."""
    previous = text[text.rfind("\n", 0, max(start - 1, 0)) + 1 : start]
    following = text[end : _line_end(text, end) + 1]
    if previous.strip() or not following or following.strip():
        return end
    return end + len(following)
