"""microseg init: a repository of policies, ready to commit."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from microseg.cli import options, terminal
from microseg.cli.exits import Command
from microseg.cli.hook_program import hook_program
from microseg.cli.version import program_version
from microseg.gitops import scaffold


@click.command("init", cls=Command)
@click.argument("directory", default=".", type=click.Path(file_okay=False, path_type=Path))
@options.output_format
def command(directory: Path, output_format: str) -> None:
    """Make a repository of policies, with an example, hooks and continuous integration.

    What is there already stays as it is. Nothing is committed, and nothing is enforced.
    """
    made = list(scaffold.make_repository(directory, program_version(), hook_program("policies.d", None)))
    steps = next_steps(directory)
    if output_format == "json":
        things = [{"path": str(each.path), "fate": each.fate.value} for each in made]
        terminal.dump({"made": things, "next": [command for _, command in steps]})
        return
    for each in made:
        terminal.say(f"{each.fate.value}  {each.path}")
    terminal.say("\nNext:", bold=True)
    for why, typed in steps:
        terminal.say(f"\n  {why}\n    {typed}")


def next_steps(directory: Path) -> list[tuple[str, str]]:
    """Return what to type, and why, in this order."""
    interface = scaffold.default_interface() or "NAME"
    root = "" if os.geteuid() == 0 else "sudo "
    here = f"--config microseg.toml --interface {shlex.quote(interface)}"
    enforce = f"{root}microseg apply {here}"
    steps = [
        ("Put your own addresses into policies.d/example.mseg, then check it:", "microseg lint policies.d"),
        ("Commit it:", "git add --all && git commit -m 'The first policy'"),
        ("Let it only report what it would deny:", f"{enforce} --audit"),
        ("Read what it would deny, until you interrupt it:", f"{root}microseg observe"),
        ("Enforce it:", enforce),
        ("Or enforce what is committed to main, from now on:", f"{root}microseg agent {here}"),
        ("End that, should you have to:", f"{root}microseg detach"),
    ]
    if directory.resolve() != Path.cwd():
        return [("Go there:", f"cd {shlex.quote(str(directory))}"), *steps]
    return steps
