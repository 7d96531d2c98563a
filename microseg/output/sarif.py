"""SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format): what code scanning services read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microseg.diagnostics import Code, Severity
from microseg.render import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microseg.diagnostics import Diagnostic
    from microseg.output.places import Places
    from microseg.source import Span

VERSION = "2.1.0"
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

# Section 3.27.10: the levels have the names of our severities.
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def log(
    diagnostics: Sequence[Diagnostic], places: Places, *, version: str, pages: Mapping[Code, str]
) -> dict[str, Any]:
    """Return a SARIF log of one run as plain values for JSON.

    Args:
        diagnostics: the results, in order.
        places: makes the URIs of files.
        version: of this program.
        pages: the page of each code, as Markdown; codes may be missing.

    """
    rules = list(Code)
    numbers = {code: number for number, code in enumerate(rules)}
    driver = {
        "name": "microseg",
        "version": version,
        "rules": [_rule(code, pages.get(code, "")) for code in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(diagnostic, numbers, places) for diagnostic in diagnostics],
    }
    return {"$schema": SCHEMA, "version": VERSION, "runs": [run]}


def _rule(code: Code, page: str) -> dict[str, Any]:
    """Return a reportingDescriptor (section 3.49)."""
    sentence = f"{code.title[:1].upper()}{code.title[1:]}."
    rule: dict[str, Any] = {
        "id": code.value,
        "name": "".join(word.capitalize() for word in code.name.split("_")),
        "shortDescription": {"text": sentence},
        "defaultConfiguration": {"level": _LEVELS[code.severity]},
    }
    if page:
        rule["help"] = {"text": page, "markdown": page}
    return rule


def _result(diagnostic: Diagnostic, numbers: Mapping[Code, int], places: Places) -> dict[str, Any]:
    """Return a result (section 3.27)."""
    beside = [label for label in diagnostic.labels if label.span == diagnostic.span]
    others = [label for label in diagnostic.labels if label.span != diagnostic.span]
    sentences = [shortened(text) for text in (diagnostic.message, *(label.text for label in beside))]
    if diagnostic.help:
        sentences.append(f"help: {shortened(diagnostic.help)}")
    result: dict[str, Any] = {
        "ruleId": diagnostic.code.value,
        "ruleIndex": numbers[diagnostic.code],
        "level": _LEVELS[diagnostic.severity],
        "message": {"text": _text("\n".join(sentences))},
        "locations": [_location(diagnostic.span, places)],
    }
    if others:
        result["relatedLocations"] = [
            {"id": number, "message": {"text": _text(shortened(label.text))}} | _location(label.span, places)
            for number, label in enumerate(others, 1)
        ]
    return result


def _location(span: Span, places: Places) -> dict[str, Any]:
    """Return a location (section 3.28); SARIF's columns count from 1 too, the end is exclusive as ours."""
    region = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
    return {"physicalLocation": {"artifactLocation": {"uri": places.uri(span.path)}, "region": region}}


def _text(text: str) -> str:
    """Return text that UTF-8 can carry, whatever a file is called."""
    return text.encode(errors="backslashreplace").decode()
