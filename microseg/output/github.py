"""Annotations of GitHub Actions: workflow commands, a line each, that mark the lines of a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.diagnostics import Severity
from microseg.render import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microseg.diagnostics import Diagnostic
    from microseg.output.places import Places

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def workflow_commands(diagnostics: Iterable[Diagnostic], places: Places) -> list[str]:
    """Return a workflow command for each diagnostic."""
    return [_annotation(diagnostic, places) for diagnostic in diagnostics]


def _annotation(diagnostic: Diagnostic, places: Places) -> str:
    span = diagnostic.span
    properties = {
        "title": f"{diagnostic.code.value}: {diagnostic.code.title}",
        "file": places.path(span.path),
        "line": str(span.line),
        "endLine": str(span.end_line),
    }
    if span.line == span.end_line:  # columns are refused for what is longer than a line
        properties |= {"col": str(span.column), "endColumn": str(span.end_column)}
    said = ",".join(f"{name}={_escaped_property(value)}" for name, value in properties.items())
    return f"::{_COMMANDS[diagnostic.severity]} {said}::{_escaped(_message(diagnostic, places))}"


def _message(diagnostic: Diagnostic, places: Places) -> str:
    lines = [shortened(diagnostic.message)]
    for label in diagnostic.labels:
        here, said = label.span == diagnostic.span, shortened(label.text)
        lines.append(said if here else f"{places.path(label.span.path)}:{label.span.line}: {said}")
    if diagnostic.help:
        lines.append(f"help: {shortened(diagnostic.help)}")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """Return text in which no character ends the line (the order matters: % first)."""
    shown = text.encode(errors="backslashreplace").decode()
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    """Return text that doesn't end a property either."""
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
