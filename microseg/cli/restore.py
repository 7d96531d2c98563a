"""microseg restore: after a restart, the last confirmed policy again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from microseg.cli import hook_text, instance, options, progress, terminal
from microseg.cli.exits import Command, ExitCode
from microseg.reconcile.records import revision_to_json
from microseg.reconcile.restore import Restoration, RestoreResult, restore
from microseg.reconcile.revision import describe

if TYPE_CHECKING:
    from microseg.config import Settings


@click.command("restore", cls=Command)
@options.with_settings(*options.WRITING, "adopt_s")
@options.output_format
def command(settings: Settings, output_format: str) -> ExitCode:
    """Put the last confirmed policy in force after a restart of the machine.

    It is loaded as it was compiled then, from the state directory: neither git nor the policy's text is
    asked. What was applied with --confirm-within and never confirmed doesn't come back. A policy that is in
    force is left alone. Exits with 4 when an interface it was attached to doesn't exist.
    """
    with progress.of_steps() as announce:
        who = instance.operator(settings)
        how = Restoration(who, settings.sizing, settings.adopt_s, settings.data_plane, announce)
        result = restore(instance.open_host(settings), how)
    if output_format == "json":
        terminal.dump(
            {
                "generation": result.generation,
                "restored": result.confirmed.generation if result.confirmed else None,
                "revision": revision_to_json(result.confirmed.revision) if result.confirmed else None,
                "attached": [{"interface": it.interface, "hook": it.hook.value} for it in result.attached],
                "missing": list(result.missing),
                "warnings": list(result.warnings),
            }
        )
    else:
        _show(result)
    return ExitCode.KERNEL if result.missing else ExitCode.DONE


def _show(result: RestoreResult) -> None:
    for problem in result.warnings:
        terminal.warn(problem)
    if result.confirmed:
        text = f"Generation {result.generation} is in force: {describe(result.confirmed.revision)}"
        terminal.say(text, bold=True, fg="green")
        before = (
            f"generation {result.confirmed.generation}, confirmed {result.confirmed.at:%Y-%m-%d %H:%M:%S} UTC"
        )
        terminal.pairs([("restored", before)])
    elif result.generation:
        terminal.say(f"Generation {result.generation} is in force already and was left alone.", bold=True)
    else:
        terminal.say(
            "There is nothing to restore: no confirmed policy is recorded. Everything passes.", bold=True
        )
    terminal.pairs([("attached", hook_text.interfaces(result.attached))])
    if result.missing:
        terminal.warn(f"not attached, since there is no such interface: {', '.join(result.missing)}")
        terminal.remark("try", "microseg restore again when it is there")
