from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from output.sarif_schema import LOG
from tree import ROOT

from microseg.diagnostics import Code, Diagnostic, Label
from microseg.output import github, junit, sarif
from microseg.output.outcome import Outcome
from microseg.output.places import Places
from microseg.output.report import report_of_lint, report_of_tests
from microseg.policy.rules import PolicyTest
from microseg.render import render_text
from microseg.source import Span

PUBLISHED = os.environ.get("MICROSEG_SARIF_SCHEMA")
LINT = json.loads((ROOT / "docs" / "schemas" / "microseg-lint-1.schema.json").read_text())
TEST = json.loads((ROOT / "docs" / "schemas" / "microseg-test-1.schema.json").read_text())
HERE = Places(PurePosixPath("policies.d"))

texts = st.text(max_size=30)
numbers = st.integers(1, 5000)
spans = st.builds(Span, texts.filter(bool), numbers, numbers, numbers, numbers)
labels = st.lists(st.builds(Label, spans, texts), max_size=3).map(tuple)
codes = st.sampled_from(Code)
diagnostics = st.lists(
    st.tuples(codes, spans, texts, labels, texts).map(
        lambda it: Diagnostic(it[0], it[0].severity, it[2], it[1], it[3], it[4])
    ),
    max_size=5,
)


def validate_sarif(log: dict[str, Any]) -> None:
    jsonschema.validate(log, LOG)
    if PUBLISHED:
        jsonschema.validate(log, json.loads(Path(PUBLISHED).read_text()), cls=jsonschema.Draft4Validator)


def sarif_log(found: list[Diagnostic]) -> dict[str, Any]:
    return sarif.log(found, HERE, version="1", pages={Code.SYNTAX: "# a page"})


@given(diagnostics)
def test_sarif_is_valid_whatever_is_said(found: list[Diagnostic]) -> None:
    log = sarif_log(found)
    validate_sarif(log)
    json.dumps(log, ensure_ascii=False).encode()  # no lone surrogate


def test_the_schema_refuses_what_is_wrong() -> None:
    log = sarif_log([Diagnostic.of(Code.SYNTAX, Span("a.mseg", 1, 1, 1, 2), "m")])
    del log["runs"][0]["results"][0]["message"]
    with pytest.raises(jsonschema.ValidationError):
        validate_sarif(log)


def test_a_sarif_result_names_rule_and_places() -> None:
    span, other = Span("a b.mseg", 3, 5, 3, 8), Span("c.mseg", 1, 1, 1, 4)
    found = Diagnostic.of(
        Code.SHADOWED_RULE,
        span,
        "never matches",
        Label(span, "here"),
        Label(other, "there"),
        help="delete it",
    )
    run = sarif_log([found])["runs"][0]
    (result,) = run["results"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "MS301"
    assert result["level"] == "warning"
    assert result["message"]["text"] == "never matches\nhere\nhelp: delete it"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "policies.d/a%20b.mseg"
    assert place["region"] == {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 8}
    (related,) = result["relatedLocations"]
    assert related["physicalLocation"]["artifactLocation"]["uri"] == "policies.d/c.mseg"


def test_places_outside_the_repository_are_absolute() -> None:
    root, inside = PurePosixPath("/srv/r"), PurePosixPath("/srv/r/p")
    assert Places.seen_from(root, inside).uri("a.mseg") == "p/a.mseg"
    assert Places.seen_from(root, root).path("a.mseg") == "a.mseg"
    assert Places.seen_from(inside, root).uri("a.mseg") == "file:///srv/r/a.mseg"


@given(diagnostics)
def test_an_annotation_is_one_command_on_one_line(found: list[Diagnostic]) -> None:
    for line in github.workflow_commands(found, HERE):
        assert "\n" not in line
        assert "\r" not in line
        command, properties, message = unescaped(line)
        assert command in {"error", "warning", "notice"}
        assert (
            {"file", "line", "endLine", "title"}
            <= set(properties)
            <= {*("file", "line", "endLine", "title", "col", "endColumn")}
        )
        assert message.startswith(found[0].message) or len(found) > 1


def unescaped(line: str) -> tuple[str, dict[str, str], str]:
    """Read a workflow command as the runner does."""
    _, head, message = line.split("::", 2)
    command, _, rest = head.partition(" ")
    properties = dict(each.split("=", 1) for each in rest.split(","))
    return command, properties, message.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")


def test_an_annotation_says_the_same_as_the_text() -> None:
    span = Span("a,b:c.mseg", 2, 3, 2, 9)
    found = Diagnostic.of(Code.UNUSED_GROUP, span, "100% unused\nreally", help="delete it")
    (line,) = github.workflow_commands([found], HERE)
    assert line == (
        "::warning title=MS306%3A a group nothing uses,file=policies.d/a%2Cb%3Ac.mseg,line=2,endLine=2,col=3,"
        "endColumn=9::100%25 unused%0Areally%0Ahelp: delete it"
    )


def test_an_annotation_of_several_lines_has_no_columns() -> None:
    (line,) = github.workflow_commands([Diagnostic.of(Code.SYNTAX, Span("a.mseg", 2, 3, 4, 1), "m")], HERE)
    assert "col" not in unescaped(line)[1]


@given(st.lists(st.tuples(texts, spans, diagnostics), max_size=4))
def test_junit_is_xml_whatever_is_said(cases: list[tuple[str, Span, list[Diagnostic]]]) -> None:
    outcomes = [Outcome(PolicyTest(name, (), span), tuple(found)) for name, span, found in cases]
    root = ET.fromstring(junit.suites(outcomes, {}, HERE).encode())
    assert len(root.findall("./testsuite/testcase")) == len(cases) == int(root.attrib["tests"])
    assert len(root.findall(".//failure")) == sum(len(found) for _, _, found in cases)
    failed = [each for each in root.iter("testcase") if each.find("failure") is not None]
    assert len(failed) == int(root.attrib["failures"])
    jsonschema.validate(report_of_tests(outcomes), TEST)


@given(diagnostics, diagnostics, st.integers(0, 9))
def test_json_is_as_documented(found: list[Diagnostic], fixed: list[Diagnostic], files: int) -> None:
    report = report_of_lint(found, files=files, fixed=fixed)
    jsonschema.validate(report, LINT)
    assert report["counts"] == {
        severity: sum(each.severity.value == severity for each in found)
        for severity in ("error", "warning", "note")
    }


def test_a_message_about_a_word_of_a_megabyte_is_short() -> None:
    word = "a" * (1 << 20)
    span = Span("a.mseg", 1, 1, 1, 2)
    found = Diagnostic.of(
        Code.BAD_ADDRESS, span, f"`{word}` is bad", Label(span, word), Label(span.behind(), word), help=word
    )
    said = [
        render_text([found], {"a.mseg": word}),
        json.dumps(report_of_lint([found], files=1)),
        json.dumps(sarif_log([found])["runs"][0]["results"]),
        *github.workflow_commands([found], HERE),
        junit.wrong_policy([found], {}),
    ]
    assert [len(each) for each in said if not 500 < len(each) < 20_000] == []
    assert "aaa` is bad" in said[0]
