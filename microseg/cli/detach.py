"""microseg detach: the only thing that ends enforcement (I8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from microseg.cli import instance, options, terminal
from microseg.cli.exits import Command
from microseg.reconcile.attachment import detach

if TYPE_CHECKING:
    from microseg.config import Settings
    from microseg.reconcile.attachment import AttachmentResult


@click.command("detach", cls=Command)
@options.with_settings(*options.WRITING)
@click.option(
    "-i", "--interface", "leaving", multiple=True, metavar="NAME", help="Only this one; repeatable."
)
@options.output_format
def command(settings: Settings, leaving: tuple[str, ...], output_format: str) -> None:
    """End enforcement, everywhere or on some interfaces.

    Without --interface, the program is detached everywhere and everything of this instance is removed from
    the kernel: from then on, everything passes.
    """
    result = detach(instance.open_host(settings), instance.operator(settings), leaving)
    if output_format == "json":
        terminal.dump(
            {
                "detached": [attachment.interface for attachment in result.changed],
                "now": [attachment.interface for attachment in result.now],
                "unloaded": result.unloaded,
            }
        )
    else:
        _show(result, leaving)


def _show(result: AttachmentResult, leaving: tuple[str, ...]) -> None:
    names = ", ".join(attachment.interface for attachment in result.changed)
    if leaving:
        terminal.say(f"Detached: {names}. Everything passes there now.", bold=True)
        terminal.pairs(
            [
                ("still on", ", ".join(attachment.interface for attachment in result.now) or "no interface"),
                ("undo", "microseg attach " + " ".join(f"--interface {name}" for name in leaving)),
            ]
        )
    elif result.unloaded:
        terminal.say("Enforcement has ended: everything passes.", bold=True)
        terminal.pairs(
            [
                ("detached", names or "no interface was attached"),
                ("removed", "programs, maps and sessions"),
                ("undo", "microseg apply"),
            ]
        )
    else:
        terminal.say("Nothing to do: nothing is loaded, everything passes.", bold=True)
