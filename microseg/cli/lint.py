"""microseg lint: everything that is wrong with a policy directory, in one run. No root, no kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from microseg.cli import options, policy_input, terminal
from microseg.cli.exits import Command, ExitCode
from microseg.diagnostics import Severity, has_errors, summary
from microseg.render import as_object, render_text

if TYPE_CHECKING:
    from microseg.compiler.pipeline import Compilation
    from microseg.config import Settings


@click.command("lint", cls=Command)
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@options.with_settings(*options.POLICY)
@options.output_format
@click.option("--deny-warnings", is_flag=True, help="Exit with 1 for warnings too.")
def command(
    settings: Settings, directory: Path | None, output_format: str, *, deny_warnings: bool
) -> ExitCode:
    """Check the policy and show everything that is wrong with it.

    All problems of all files of DIRECTORY (by default the policy directory), in one run. Needs neither root
    nor a kernel. Warnings alone are no error.
    """
    given = policy_input.files(directory or settings.policy_dir)
    compilation = given.examine(audit=False).compilation
    if output_format == "json":
        terminal.dump([as_object(diagnostic) for diagnostic in compilation.diagnostics])
    else:
        _show(compilation, len(given.tree.policy_paths()))
    refused = {Severity.WARNING, Severity.ERROR} if deny_warnings else {Severity.ERROR}
    wrong = any(diagnostic.severity in refused for diagnostic in compilation.diagnostics)
    return ExitCode.FAILED if wrong else ExitCode.DONE


def _show(compilation: Compilation, files: int) -> None:
    found = compilation.diagnostics
    if found:
        color = terminal.colors(terminal.Stream.OUTPUT)
        click.echo(render_text(found, compilation.sources, color=color), color=color)
    problems = summary(found)
    in_files = terminal.count(files, "file")
    if has_errors(found):
        terminal.say(f"The policy is wrong: {problems} in {in_files}.", bold=True, fg="red")
        return
    rules = terminal.count(len(compilation.ruleset.ordered()), "rule")
    terminal.say(f"The policy is valid: {in_files}, {rules}, {problems or 'nothing to remark'}.", bold=True)
