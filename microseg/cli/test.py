"""microseg test: the policy's own tests, proved for every packet. No root, no kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from microseg.cli import options, policy_input, terminal
from microseg.cli.exits import Command, ExitCode
from microseg.reconcile.errors import PolicyError
from microseg.render import as_object, render_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.analysis.examine import Examination
    from microseg.config import Settings
    from microseg.diagnostics import Diagnostic
    from microseg.policy.rules import PolicyTest


@click.command("test", cls=Command)
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@options.with_settings(*options.POLICY)
@options.revision
@options.output_format
def command(settings: Settings, directory: Path | None, rev: str | None, output_format: str) -> ExitCode:
    """Prove the policy's own tests.

    Each `expect` line is proved for every packet of its sets, or refuted by showing one. Needs neither root
    nor a kernel. Exits with 1 when a test fails.
    """
    with policy_input.text(directory or settings.policy_dir, rev) as given:
        examination = given.examine(audit=False)
    compilation = examination.compilation
    if compilation.image is None:
        raise PolicyError(compilation.diagnostics, compilation.sources)
    tests = compilation.ruleset.tests
    if output_format == "json":
        terminal.dump([_object(test, _failures_of(test, examination.failures)) for test in tests])
    else:
        _show(examination)
    return ExitCode.FAILED if examination.failures else ExitCode.DONE


def _show(examination: Examination) -> None:
    tests = examination.compilation.ruleset.tests
    for test in tests:
        failures = _failures_of(test, examination.failures)
        word, style = ("FAIL", "red") if failures else ("ok", "green")
        terminal.say(
            f"{word:<5}{test.name} ({terminal.count(len(test.expectations), 'expectation')})", fg=style
        )
    if examination.failures:
        color = terminal.colors(terminal.Stream.OUTPUT)
        text = render_text(examination.failures, examination.compilation.sources, color=color)
        click.echo(f"\n{text}", color=color)
    failed = sum(1 for test in tests if _failures_of(test, examination.failures))
    if not tests:
        terminal.say("The policy has no tests.")
    elif failed:
        terminal.say(f"{failed} of {terminal.count(len(tests), 'test')} failed.", bold=True)
    else:
        held = terminal.count(sum(len(test.expectations) for test in tests), "expectation")
        terminal.say(f"{terminal.count(len(tests), 'test')} passed: {held} proved.", bold=True)


def _failures_of(test: PolicyTest, failures: Sequence[Diagnostic]) -> list[Diagnostic]:
    places = {expectation.span for expectation in test.expectations}
    return [failure for failure in failures if failure.span in places]


def _object(test: PolicyTest, failures: Sequence[Diagnostic]) -> dict[str, Any]:
    return {
        "test": test.name,
        "file": test.span.path,
        "line": test.span.line,
        "expectations": len(test.expectations),
        "passed": not failures,
        "failures": [as_object(failure) for failure in failures],
    }
