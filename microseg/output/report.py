"""The JSON of `lint` and `test`: docs/schemas has the schemas, docs/formats.md the promise about versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.diagnostics import Severity
from microseg.render import as_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from microseg.diagnostics import Diagnostic
    from microseg.output.outcome import Outcome

LINT_SCHEMA = "microseg-lint-1"
TEST_SCHEMA = "microseg-test-1"


def report_of_lint(
    diagnostics: Sequence[Diagnostic], *, files: int, fixed: Iterable[Diagnostic] = ()
) -> dict[str, object]:
    """Return what `lint` found as plain values for JSON.

    Args:
        diagnostics: what there is to say, in order.
        files: how many policy files were read.
        fixed: what `--fix` has mended.

    """
    return {
        "schema": LINT_SCHEMA,
        "files": files,
        "counts": _counts(diagnostics),
        "diagnostics": [as_object(diagnostic) for diagnostic in diagnostics],
        "fixed": [as_object(diagnostic) for diagnostic in fixed],
    }


def report_of_tests(outcomes: Sequence[Outcome], *, judged: int | None = None) -> dict[str, object]:
    """Return what became of the tests as plain values for JSON.

    Args:
        outcomes: of each test.
        judged: how many packets a kernel judged; None when none was asked.

    """
    return {
        "schema": TEST_SCHEMA,
        "passed": all(outcome.passed for outcome in outcomes),
        "tests": [_test_object(outcome) for outcome in outcomes],
        **({} if judged is None else {"kernel": {"packets": judged}}),
    }


def _counts(diagnostics: Iterable[Diagnostic]) -> dict[str, int]:
    counts = {severity.value: 0 for severity in Severity}
    for diagnostic in diagnostics:
        counts[diagnostic.severity.value] += 1
    return counts


def _test_object(outcome: Outcome) -> dict[str, object]:
    test = outcome.test
    return {
        "test": test.name,
        "file": test.span.path,
        "line": test.span.line,
        "expectations": len(test.expectations),
        "passed": outcome.passed,
        "failures": [as_object(failure) for failure in outcome.failures],
    }
