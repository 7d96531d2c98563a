"""`# microseg: ignore MS301`: silencing a warning on one line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.diagnostics import Code, Diagnostic, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from microseg.lang.ast import Comment, File
    from microseg.source import Span

_INSTRUCTION = re.compile(r"#\s*microseg:\s*(?P<verb>\w*)[\s,]*(?P<codes>(?:MS\w+[\s,]*)*)", re.IGNORECASE)
_OF_THE_DAY = {Code.EXPIRED_RULE, Code.EXPIRES_SOON}
_CODE = re.compile(r"MS\w+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ignore:
    """Codes that are silenced on one line of one file, by the comment at a place."""

    path: str
    line: int
    codes: frozenset[Code]
    span: Span


def of_file(file: File) -> tuple[list[Ignore], list[Diagnostic]]:
    """Return the ignore comments of a file, and a warning for each that can't silence anything."""
    alone = {comment.span.line for comment in file.comments if comment.own_line}
    found: list[Ignore] = []
    warnings: list[Diagnostic] = []
    for comment in file.comments:
        instruction = _INSTRUCTION.match(comment.text)
        if not instruction:
            continue
        codes, problems = _codes(comment, instruction)
        warnings += problems
        line = comment.span.line
        while line in alone:  # a comment of its own speaks of the next line that isn't one
            line += 1
        if codes:
            found.append(Ignore(file.path, line, codes, comment.span))
    return found, warnings


def silence(diagnostics: Iterable[Diagnostic], files: Iterable[File]) -> list[Diagnostic]:
    """Return the diagnostics without those that a comment silences. An error is never silenced."""
    silenced: dict[tuple[str, int], frozenset[Code]] = {}
    for file in files:
        for ignore in of_file(file)[0]:
            place = (ignore.path, ignore.line)
            silenced[place] = silenced.get(place, frozenset()) | ignore.codes
    return [each for each in diagnostics if each.is_error or not _is_silenced(each, silenced)]


def silenced(diagnostics: Iterable[Diagnostic], files: Sequence[File]) -> list[Diagnostic]:
    """Return the diagnostics that a comment silences."""
    loud = set(silence(diagnostics, files))
    return [each for each in diagnostics if each not in loud]


def idle(hushed: Collection[Diagnostic], files: Iterable[File]) -> list[Diagnostic]:
    """Return a warning for each code that a comment names in vain, given all diagnostics that are silenced.

    What depends on the day may be named long before it is said.
    """
    found: list[Diagnostic] = []
    for ignore in (each for file in files for each in of_file(file)[0]):
        here = {
            each.code
            for each in hushed
            if each.span.path == ignore.path and each.span.line <= ignore.line <= each.span.end_line
        }
        for code in sorted(ignore.codes - here - _OF_THE_DAY, key=lambda code: code.value):
            message = f"there is no {code.value} here to silence"
            found.append(Diagnostic.of(Code.USELESS_IGNORE, ignore.span, message, help="leave the code out"))
    return found


def _is_silenced(diagnostic: Diagnostic, silenced: dict[tuple[str, int], frozenset[Code]]) -> bool:
    span = diagnostic.span
    return any(
        diagnostic.code in silenced.get((span.path, line), ()) for line in range(span.line, span.end_line + 1)
    )


def _codes(comment: Comment, instruction: re.Match[str]) -> tuple[frozenset[Code], list[Diagnostic]]:
    """Return the codes that can be silenced, and what is wrong with the rest."""
    if instruction["verb"] != "ignore":
        return frozenset(), [_useless(comment, f"`{instruction['verb']}` is no instruction")]
    names = _CODE.findall(instruction["codes"])
    if not names:
        return frozenset(), [_useless(comment, "this comment names no code")]
    known = {code.value: code for code in Code}
    codes: set[Code] = set()
    problems: list[Diagnostic] = []
    for name in names:
        code = known.get(name)
        if code is None:
            problems.append(_useless(comment, f"there is no code `{name}`"))
        elif code.severity is Severity.ERROR:
            problems.append(_useless(comment, f"{name} is an error, and errors can't be silenced"))
        else:
            codes.add(code)
    return frozenset(codes), problems


def _useless(comment: Comment, message: str) -> Diagnostic:
    return Diagnostic.of(
        Code.USELESS_IGNORE,
        comment.span,
        message,
        help="write `# microseg: ignore MS301` with a warning's code",
    )
