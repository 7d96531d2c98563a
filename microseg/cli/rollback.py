"""microseg rollback: the previous generation again, by one store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from microseg.cli import instance, options, terminal
from microseg.cli.exits import Command
from microseg.reconcile.records import revision_to_json
from microseg.reconcile.revision import describe
from microseg.reconcile.rollback import roll_back

if TYPE_CHECKING:
    from microseg.config import Settings
    from microseg.reconcile.rollback import RollbackResult


@click.command("rollback", cls=Command)
@options.with_settings(*options.WRITING)
@options.output_format
def command(settings: Settings, output_format: str) -> None:
    """Put the previous generation in force again, at once.

    It is still in the kernel, in the other slot: this is one store, whatever the size of the policy. The
    policy files are not touched; the next apply brings them back into force unless they change.
    """
    result = roll_back(instance.open_host(settings), instance.operator(settings))
    for problem in result.warnings:
        terminal.warn(problem)
    if output_format == "json":
        terminal.dump(
            {
                "generation": result.generation,
                "revision": revision_to_json(result.revision),
                "previous_generation": result.before,
                "previous_revision": revision_to_json(result.before_revision),
                "duration_ms": result.duration_ms,
            }
        )
        return
    terminal.say(_headline(result), bold=True, fg="green")
    terminal.pairs(
        [
            ("before", f"generation {result.before}, {describe(result.before_revision)}"),
            ("took", f"{result.duration_ms} ms"),
            ("next", "correct the policy; microseg apply would bring the same one back"),
        ]
    )


def _headline(result: RollbackResult) -> str:
    if not result.generation:
        return "No policy is in force any more, as before the first apply: everything passes."
    return f"Generation {result.generation} is in force again: {describe(result.revision)}"
