"""microseg test: the policy's own tests, proved for every packet. No root, no kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from microseg.cli import options, policy_input, terminal
from microseg.cli.exits import Command, ExitCode
from microseg.output import junit
from microseg.output.outcome import outcomes
from microseg.output.report import report_of_tests
from microseg.reconcile.errors import PolicyError
from microseg.render import render_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.analysis.examine import Examination
    from microseg.config import Settings
    from microseg.output.outcome import Outcome


@click.command("test", cls=Command)
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@options.with_settings(*options.POLICY)
@options.revision
@options.output_format_with("junit")
def command(settings: Settings, directory: Path | None, rev: str | None, output_format: str) -> ExitCode:
    """Prove the policy's own tests.

    Each `expect` line is proved for every packet of its sets, or refuted by showing one. Needs neither root
    nor a kernel. Exits with 1 when a test fails.
    """
    folder = directory or settings.policy_dir
    with policy_input.text(folder, rev) as given:
        examination = given.examine(audit=False)
    compilation = examination.compilation
    if compilation.image is None:
        if output_format == "junit":  # a build server counts what is in the file, so it says that nothing ran
            click.echo(junit.wrong_policy(compilation.diagnostics, compilation.sources), nl=False)
        raise PolicyError(compilation.diagnostics, compilation.sources)
    results = outcomes(compilation.ruleset.tests, examination.failures)
    match output_format:
        case "json":
            terminal.dump(report_of_tests(results))
        case "junit":
            places = policy_input.places(folder)
            click.echo(junit.suites(results, compilation.sources, places), nl=False)
        case _:
            _show(results, examination)
    return ExitCode.FAILED if examination.failures else ExitCode.DONE


def _show(results: Sequence[Outcome], examination: Examination) -> None:
    for result in results:
        word, style = ("ok", "green") if result.passed else ("FAIL", "red")
        expectations = terminal.count(len(result.test.expectations), "expectation")
        terminal.say(f"{word:<5}{result.test.name} ({expectations})", fg=style)
    if examination.failures:
        color = terminal.colors(terminal.Stream.OUTPUT)
        text = render_text(examination.failures, examination.compilation.sources, color=color)
        click.echo(f"\n{text}", color=color)
    failed = sum(1 for result in results if not result.passed)
    if not results:
        terminal.say("The policy has no tests.")
    elif failed:
        terminal.say(f"{failed} of {terminal.count(len(results), 'test')} failed.", bold=True)
    else:
        held = terminal.count(sum(len(result.test.expectations) for result in results), "expectation")
        terminal.say(f"{terminal.count(len(results), 'test')} passed: {held} proved.", bold=True)
