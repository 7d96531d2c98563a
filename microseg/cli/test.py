"""microseg test: the policy's own tests, proved for every packet, and tried in a kernel when asked to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from microseg.abi import encode
from microseg.cli import options, phase_bar, policy_input, terminal
from microseg.cli.exits import Command, ExitCode
from microseg.output import junit
from microseg.output.outcome import outcomes
from microseg.output.report import report_of_tests
from microseg.reconcile import rehearsal
from microseg.reconcile.errors import PolicyError
from microseg.render import render_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.compiler.pipeline import Compilation
    from microseg.config import Settings
    from microseg.diagnostics import Diagnostic
    from microseg.output.outcome import Outcome
    from microseg.reconcile.rehearsal import Rehearsal


@click.command("test", cls=Command)
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@options.with_settings(*options.POLICY, "pin_dir")
@options.revision
@click.option(
    "--kernel", is_flag=True, help="Also ask a kernel about packets of each test, which needs root."
)
@options.output_format_with("junit")
def command(
    settings: Settings, directory: Path | None, rev: str | None, output_format: str, *, kernel: bool
) -> ExitCode:
    """Prove the policy's own tests.

    Each `expect` line is proved for every packet of its sets, or refuted by showing one. Needs neither root
    nor a kernel. Exits with 1 when a test fails.

    With --kernel the compiled policy is loaded beside what is in force, attached nowhere, and judges packets
    of every expectation as well: those that each rule decides, from both ends of what is alike.
    """
    folder = directory or settings.policy_dir
    with policy_input.text(folder, rev) as given, phase_bar.shown(phase_bar.TEST, output_format) as told:
        examination = replace(given, told=told).examine(audit=False)
    compilation = examination.compilation
    if compilation.image is None:
        if output_format == "junit":  # a build server counts what is in the file, so it says that nothing ran
            click.echo(junit.wrong_policy(compilation.diagnostics, compilation.sources), nl=False)
        raise PolicyError(compilation.diagnostics, compilation.sources)
    rehearsed = _rehearse(settings, compilation) if kernel else None
    failures = (*examination.failures, *(rehearsed.failures if rehearsed else ()))
    results = outcomes(compilation.ruleset.tests, failures)
    match output_format:
        case "json":
            terminal.dump(report_of_tests(results, judged=rehearsed.judged if rehearsed else None))
        case "junit":
            places = policy_input.places(folder)
            click.echo(junit.suites(results, compilation.sources, places), nl=False)
        case _:
            _show(results, failures, compilation, rehearsed)
    return ExitCode.FAILED if failures else ExitCode.DONE


def _rehearse(settings: Settings, compilation: Compilation) -> Rehearsal:
    from microseg.kernel.flows import Flows  # noqa: PLC0415  as in instance: it takes a while to import
    from microseg.kernel.sandbox import sandbox  # noqa: PLC0415  as above

    assert compilation.image is not None, "only a policy without errors is compiled"
    contents = encode(compilation.image)
    with sandbox(settings.pin_dir, rehearsal.sizing_for(contents)) as plane:
        rehearsal.fill(plane, contents)
        flows = Flows(plane)
        return rehearsal.rehearse(
            rehearsal.questions(compilation.ruleset),
            lambda frame: flows.ask(frame, rehearsal.GENERATION).verdict,
        )


def _show(
    results: Sequence[Outcome],
    failures: Sequence[Diagnostic],
    compilation: Compilation,
    rehearsed: Rehearsal | None,
) -> None:
    for result in results:
        word, style = ("ok", "green") if result.passed else ("FAIL", "red")
        expectations = terminal.count(len(result.test.expectations), "expectation")
        terminal.say(f"{word:<5}{result.test.name} ({expectations})", fg=style)
    if failures:
        color = terminal.colors(terminal.Stream.OUTPUT)
        text = render_text(failures, compilation.sources, color=color)
        click.echo(f"\n{text}", color=color)
    failed = sum(1 for result in results if not result.passed)
    if not results:
        terminal.say("The policy has no tests.")
    elif failed:
        terminal.say(f"{failed} of {terminal.count(len(results), 'test')} failed.", bold=True)
    else:
        held = terminal.count(sum(len(result.test.expectations) for result in results), "expectation")
        terminal.say(f"{terminal.count(len(results), 'test')} passed: {held} proved.", bold=True)
    if rehearsed and not rehearsed.failures:
        packets = terminal.count(rehearsed.judged, "packet")
        terminal.say(f"The kernel judges {packets} of theirs as the policy says.")
