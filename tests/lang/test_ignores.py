"""`# microseg: ignore MS301`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from microseg.diagnostics import Code, Diagnostic, Severity
from microseg.lang import ignores
from microseg.lang.parser import parse
from microseg.source import Span

SHADOWED, UNUSED = Code.SHADOWED_RULE, Code.UNUSED_GROUP


def warning(line: int, code: Code = SHADOWED, end_line: int | None = None) -> Diagnostic:
    return Diagnostic.of(code, Span("p", line, 1, end_line or line, 9), "x")


def silenced_lines(text: str, code: Code = SHADOWED) -> list[int]:
    file, _ = parse("p", text)
    lines = range(1, text.count("\n") + 2)
    left = ignores.silence([warning(line, code) for line in lines], [file])
    return sorted(set(lines) - {each.span.line for each in left})


def test_a_comment_silences_its_own_line() -> None:
    assert silenced_lines("group a = b # microseg: ignore MS301\ngroup c = d") == [1]


def test_a_comment_of_its_own_silences_the_line_below_it_and_its_comments() -> None:
    assert silenced_lines("# microseg: ignore MS301\n# because\ngroup a = b\ngroup c = d") == [3]


def test_only_the_codes_it_names() -> None:
    text = "group a = b # microseg: ignore MS301, MS306 as agreed"
    assert silenced_lines(text) == [1]
    assert silenced_lines(text, UNUSED) == [1]
    assert silenced_lines(text, Code.EXPIRED_RULE) == []


def test_other_files_are_not_silenced() -> None:
    file, _ = parse("q", "group a = b # microseg: ignore MS301")
    assert ignores.silence([warning(1)], [file]) == [warning(1)]


def test_a_comment_at_the_end_of_a_longer_rule_silences_it() -> None:
    file, _ = parse("p", "group a = b,\n c # microseg: ignore MS301")
    assert ignores.silence([warning(1, end_line=2)], [file]) == []


def test_an_error_is_never_silenced() -> None:
    file, _ = parse("p", "group a = b # microseg: ignore MS101 MS301")
    error = warning(1, Code.UNKNOWN_GROUP)
    raised = replace(warning(1), severity=Severity.ERROR)
    assert ignores.silence([error, warning(1), raised], [file]) == [error, raised]


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("# microseg: ignore", "this comment names no code"),
        ("# microseg: ignore 301", "this comment names no code"),
        ("# microseg: ignroe MS301", "`ignroe` is no instruction"),
        ("# microseg: ignore MS999", "there is no code `MS999`"),
        ("# microseg: ignore MS101", "MS101 is an error, and errors can't be silenced"),
    ],
)
def test_a_comment_that_can_not_silence_anything(comment: str, message: str) -> None:
    file, _ = parse("p", comment)
    found, [diagnostic] = ignores.of_file(file)
    assert found == []
    assert (diagnostic.code, diagnostic.message) == (Code.USELESS_IGNORE, message)


def test_other_comments_are_left_alone() -> None:
    file, _ = parse("p", "# microseg is nice\n# ignore MS301\n# TODO microseg: later")
    assert ignores.of_file(file) == ([], [])


def test_a_code_that_is_named_in_vain() -> None:
    file, _ = parse("p", "group a = b,\n c # microseg: ignore MS301 MS306 MS304\n")
    (found,) = ignores.idle([warning(1, end_line=2)], [file])
    assert (found.code, found.span.line) == (Code.USELESS_IGNORE, 2)
    assert found.message == "there is no MS306 here to silence"
    assert {each.message[12:17] for each in ignores.idle([warning(3)], [file])} == {"MS301", "MS306"}
    assert ignores.idle([warning(1, end_line=2), warning(1, UNUSED, end_line=2)], [file]) == []
