"""microseg confirm: keep what was applied with --confirm-within."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from microseg.cli import instance, options, terminal
from microseg.cli.durations import words
from microseg.cli.exits import Command
from microseg.reconcile.confirm import confirm
from microseg.reconcile.records import revision_to_json
from microseg.reconcile.revision import describe

if TYPE_CHECKING:
    from microseg.config import Settings


@click.command("confirm", cls=Command)
@options.with_settings(*options.WRITING)
@options.output_format
def command(settings: Settings, output_format: str) -> None:
    """Keep the policy that was applied with --confirm-within.

    Without it, the program in the kernel goes back to the policy before when the time is over, whether or not
    any process of microseg is alive. Exits with 3 when it is too late.
    """
    result = confirm(instance.open_host(settings), instance.operator(settings))
    for problem in result.warnings:
        terminal.warn(problem)
    if output_format == "json":
        terminal.dump(
            {
                "generation": result.generation,
                "revision": revision_to_json(result.revision),
                "left_s": result.left_s or None,
            }
        )
        return
    name = f"generation {result.generation}, {describe(result.revision)}"
    if not result.left_s:
        terminal.say(f"Nothing waits to be confirmed: {name}, is in force for good.", bold=True)
        return
    terminal.say(f"Confirmed: {name}, stays in force.", bold=True, fg="green")
    terminal.pairs([("left", words(result.left_s)), ("undo", "microseg rollback")])
