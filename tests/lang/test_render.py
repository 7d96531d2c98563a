"""What a diagnostic looks like."""

from __future__ import annotations

import json
from itertools import pairwise

from microseg.diagnostics import Code, Diagnostic, Label, Severity, has_errors, in_order, summary
from microseg.render import MAX_SHOWN, printable, render_json, render_text
from microseg.source import Span

HERE = Span("a.mseg", 4, 7, 4, 10)
FIRST = Span("a.mseg", 1, 7, 1, 10)
ELSEWHERE = Span("b.mseg", 12, 1, 12, 4)
SOURCES = {
    "a.mseg": "group web = 10.0.0.1\n\n\ngroup web = 10.0.0.2\r\n",
    "b.mseg": "\n" * 11 + "web",
}
TWICE = Diagnostic.of(
    Code.DUPLICATE_GROUP,
    HERE,
    "group `web` is defined twice",
    Label(HERE, "defined again here"),
    Label(ELSEWHERE, "used here"),
    Label(FIRST, "first defined here"),
    help="rename one of them\nor write both as one",
)


def test_lines_labels_other_files_and_help() -> None:
    assert render_text([TWICE], SOURCES) == (
        "error[MS103]: group `web` is defined twice\n"
        "  --> a.mseg:4:7\n"
        "   |\n"
        " 1 | group web = 10.0.0.1\n"
        "   |       --- first defined here\n"
        "...\n"
        " 4 | group web = 10.0.0.2\n"
        "   |       ^^^ defined again here\n"
        "   |\n"
        "  ::: b.mseg:12:1\n"
        "   |\n"
        "12 | web\n"
        "   | --- used here\n"
        "   |\n"
        "   = help: rename one of them\n"
        "           or write both as one\n"
    )


def test_a_file_without_text_is_shown_by_its_path() -> None:
    unreadable = Diagnostic.of(Code.UNREADABLE, Span.of_file("gone.mseg"), "can't read gone.mseg")
    assert render_text([unreadable], {}) == "error[MS005]: can't read gone.mseg\n --> gone.mseg:1:1\n"


def test_two_diagnostics_have_an_empty_line_between() -> None:
    one = Diagnostic.of(Code.UNREADABLE, Span.of_file("a"), "x")
    assert render_text([one, one], {}) == "error[MS005]: x\n --> a:1:1\n\nerror[MS005]: x\n --> a:1:1\n"


def test_tabs_and_wide_characters_keep_the_underline_in_place() -> None:
    span = Span("w", 1, 4, 1, 7)
    shown = render_text([Diagnostic.of(Code.SYNTAX, span, "x")], {"w": "\t漢字web"})
    assert shown.splitlines()[-2:] == ["1 |     漢字web", "  |         ^^^"]


def test_a_terminal_can_not_be_driven_by_the_text_shown() -> None:
    assert printable("a\x1b[2Jb\u202ec\x07\udcff") == "a\\x1b[2Jb\\u202ec\\x07\\udcff"
    bad = Diagnostic.of(Code.SYNTAX, Span("p\x1bq", 1, 1, 1, 2), "m\x1b", help="h\x1b")
    assert "\x1b" not in render_text([bad], {"p\x1bq": "s\x1b"})


def test_a_very_long_line_is_cut_around_the_underline() -> None:
    text = "x" * 5000 + "web" + "y" * 5000
    shown = render_text([Diagnostic.of(Code.SYNTAX, Span("w", 1, 5001, 1, 5004), "x")], {"w": text})
    source_line, underline = shown.splitlines()[-2:]
    assert len(source_line) < MAX_SHOWN + 10
    assert source_line[underline.index("^^^") :].startswith("web")


def test_a_span_over_lines_is_underlined_to_the_end_of_its_first() -> None:
    shown = render_text([Diagnostic.of(Code.SYNTAX, Span("w", 1, 3, 2, 2), "x")], {"w": "abcd\nef"})
    assert shown.splitlines()[-2:] == ["1 | abcd", "  |   ^^"]


def test_the_end_of_a_file_can_be_pointed_at() -> None:
    shown = render_text([Diagnostic.of(Code.SYNTAX, Span("w", 2, 1, 2, 1), "x")], {"w": "abcd\n"})
    assert shown.splitlines()[-2:] == ["2 |", "  | ^"]


def test_colour_only_when_asked_for() -> None:
    assert "\x1b[1;31m" in render_text([TWICE], SOURCES, color=True)
    assert "\x1b" not in render_text([TWICE], SOURCES)


def test_json_has_every_field() -> None:
    [shown] = json.loads(render_json([TWICE]))
    assert shown["code"] == "MS103"
    assert shown["severity"] == "error"
    assert shown["title"] == Code.DUPLICATE_GROUP.title
    assert shown["span"] == {"path": "a.mseg", "line": 4, "column": 7, "end_line": 4, "end_column": 10}
    assert [label["text"] for label in shown["labels"]] == [
        "defined again here",
        "used here",
        "first defined here",
    ]
    assert shown["help"] == TWICE.help


def test_diagnostics_are_sorted_by_place_and_shown_once() -> None:
    early = Diagnostic.of(Code.SYNTAX, FIRST, "x")
    assert in_order([TWICE, early, TWICE]) == [early, TWICE]


def test_counts_by_severity() -> None:
    note = Diagnostic(Code.EXPIRES_SOON, Severity.NOTE, "n", HERE)
    assert summary([TWICE, note, TWICE]) == "2 errors, 1 note"
    assert summary([]) == ""
    assert has_errors([note, TWICE])
    assert not has_errors([note])


def test_codes_are_well_formed_ascending_and_unique() -> None:
    codes = [code.value for code in Code]
    assert all(len(code) == 5 and code.startswith("MS") and code[2:].isdigit() for code in codes)
    assert all(before < after for before, after in pairwise(codes))
    assert len(Code.__members__) == len(codes)
