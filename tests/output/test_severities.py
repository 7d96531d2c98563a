from __future__ import annotations

import pytest

from microseg.diagnostics import Code, Diagnostic, Severity
from microseg.output.severities import Severities
from microseg.source import Span

HERE = Span("a.mseg", 1, 1, 1, 2)
UNUSED = Diagnostic.of(Code.UNUSED_GROUP, HERE, "m")
SYNTAX = Diagnostic.of(Code.SYNTAX, HERE, "m")
SOON = Diagnostic.of(Code.EXPIRES_SOON, HERE, "m")


@pytest.mark.parametrize("level", ["note", "warning", "error"])
def test_a_severity_is_chosen_by_code(level: str) -> None:
    weighed = Severities.read({"MS306": level}).weigh([SYNTAX, UNUSED, SOON])
    assert [each.severity.value for each in weighed] == ["error", level, "note"]


def test_off_is_not_shown() -> None:
    assert Severities.read({"MS306": "off"}).weigh([SYNTAX, UNUSED]) == (SYNTAX,)


def test_nothing_said_changes_nothing() -> None:
    assert Severities().weigh([SYNTAX, UNUSED, SOON]) == (SYNTAX, UNUSED, SOON)


def test_what_is_an_error_here_stays_one() -> None:
    raised = Diagnostic(Code.UNUSED_GROUP, Severity.ERROR, "m", HERE)
    assert Severities.read({"MS306": "off"}).weigh([raised]) == (raised,)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"MS999": "off"}, "no diagnostic MS999"),
        ({"MS306": "loud"}, "not one of off, error, warning, note"),
        ({"MS306": 3}, "not one of"),
        ({"MS001": "off"}, "stays one"),
        ({"MS001": "warning"}, "stays one"),
    ],
)
def test_what_can_not_be_said(table: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Severities.read(table)


def test_an_error_may_be_called_one() -> None:
    assert Severities.read({"MS001": "error"}).weigh([SYNTAX]) == (SYNTAX,)
