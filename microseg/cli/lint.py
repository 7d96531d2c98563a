"""microseg lint: everything that is wrong with a policy directory, in one run. No root, no kernel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from microseg.analysis.review import review
from microseg.cli import options, pages, phase_bar, policy_input, terminal
from microseg.cli.clock import now
from microseg.cli.exits import Command, ExitCode
from microseg.cli.replacing import replace_file
from microseg.cli.version import program_version
from microseg.diagnostics import Severity, has_errors, summary
from microseg.output import github, sarif
from microseg.output.report import report_of_lint
from microseg.render import printable, render_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.analysis.taste import Taste
    from microseg.cli.policy_input import PolicyInput
    from microseg.compiler.pipeline import Compilation
    from microseg.config import Settings
    from microseg.diagnostics import Diagnostic


@click.command("lint", cls=Command)
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@options.with_settings(*options.POLICY)
@options.output_format_with("sarif", "github")
@click.option("--deny-warnings", is_flag=True, help="Exit with 1 for warnings too.")
@click.option(
    "--fix", is_flag=True, help="Take out what is unused, stands twice or is redundant, then check again."
)
def command(
    settings: Settings, directory: Path | None, output_format: str, *, deny_warnings: bool, fix: bool
) -> ExitCode:
    """Check the policy and show everything that is wrong with it.

    All problems of all files of DIRECTORY (by default the policy directory), in one run. Needs neither root
    nor a kernel. Warnings alone are no error.
    """
    folder = directory or settings.policy_dir
    given = policy_input.files(folder)
    fixed = _fix(folder, given, settings.lint) if fix else ()
    with phase_bar.shown(phase_bar.LINT, output_format) as told:
        memory = replace(given, told=told).parsed_ahead()
        compilation = review(given.tree, now().date(), settings.lint, memory, told).compilation
    found = compilation.diagnostics
    files = len(given.tree.policy_paths())
    match output_format:
        case "json":
            terminal.dump(report_of_lint(found, files=files, fixed=fixed))
        case "sarif":
            places = policy_input.places(folder)
            terminal.dump(sarif.log(found, places, version=program_version(), pages=pages.all_pages()))
        case "github":
            for line in github.workflow_commands(found, policy_input.places(folder)):
                click.echo(line)
            _sum_up(compilation, files)
        case _:
            _show_fixed(fixed)
            _show(compilation, files)
    refused = {Severity.WARNING, Severity.ERROR} if deny_warnings else {Severity.ERROR}
    wrong = any(diagnostic.severity in refused for diagnostic in found)
    return ExitCode.FAILED if wrong else ExitCode.DONE


def _fix(folder: Path, given: PolicyInput, taste: Taste) -> tuple[Diagnostic, ...]:
    """Write the safe fixes down and return what they mended."""
    from microseg.editing.mending import mend  # noqa: PLC0415  it takes a while to import

    mended = mend(given.tree, now().date(), taste.options)
    for path, content in mended.contents.items():
        replace_file(folder / path, content)
    return mended.fixed


def _show_fixed(fixed: Sequence[Diagnostic]) -> None:
    for each in fixed:
        terminal.say(f"fixed {each.code.value}  {printable(str(each.span))}: {each.message}", fg="green")


def _show(compilation: Compilation, files: int) -> None:
    if compilation.diagnostics:
        color = terminal.colors(terminal.Stream.OUTPUT)
        click.echo(render_text(compilation.diagnostics, compilation.sources, color=color), color=color)
    _sum_up(compilation, files)


def _sum_up(compilation: Compilation, files: int) -> None:
    problems = summary(compilation.diagnostics)
    in_files = terminal.count(files, "file")
    if has_errors(compilation.diagnostics):
        terminal.say(f"The policy is wrong: {problems} in {in_files}.", bold=True, fg="red")
        return
    rules = terminal.count(len(compilation.ruleset.ordered()), "rule")
    terminal.say(f"The policy is valid: {in_files}, {rules}, {problems or 'nothing to remark'}.", bold=True)
