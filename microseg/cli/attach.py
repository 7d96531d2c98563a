"""microseg attach: enforce the policy in force on more interfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from microseg.cli import hook_text, instance, lifelines, options, terminal
from microseg.cli.exits import Command
from microseg.reconcile.attachment import attach
from microseg.reconcile.guards import LOCKOUT_FLAG
from microseg.reconcile.safeguards import NO_LIFELINES

if TYPE_CHECKING:
    from microseg.config import Settings


@click.command("attach", cls=Command)
@options.with_settings(*options.WRITING, *options.ATTACHING)
@click.option(LOCKOUT_FLAG, "allow_lockout", is_flag=True, help="Attach although it cuts this session off.")
@options.output_format
def command(settings: Settings, output_format: str, *, allow_lockout: bool) -> None:
    """Enforce the policy in force on more interfaces.

    On those named by --interface or in microseg.toml: on all of them, or, when one fails, on none.
    """
    if not settings.interfaces:
        raise click.UsageError(
            'Name an interface: --interface eth0, or interfaces = ["eth0"] in microseg.toml.'
        )
    host, who = instance.open_host(settings), instance.operator(settings)
    kept = NO_LIFELINES if allow_lockout else lifelines.of(settings)
    result = attach(host, who, settings.interfaces, settings.hook, settings.adopt_s, lifelines=kept)
    if output_format == "json":
        terminal.dump(
            {"attached": [it.interface for it in result.changed], "now": [it.interface for it in result.now]}
        )
        return
    if not result.changed:
        terminal.say("Nothing changes: all of them are attached already.", bold=True)
        return
    undo = " ".join(f"--interface {it.interface}" for it in result.changed)
    terminal.say(f"Attached: {hook_text.interfaces(result.changed)}", bold=True, fg="green")
    terminal.pairs(
        [
            ("now", ", ".join([it.interface for it in result.now])),
            ("xdp", hook_text.xdp_limits(result.changed)),
            ("undo", f"microseg detach {undo}"),
        ]
    )
