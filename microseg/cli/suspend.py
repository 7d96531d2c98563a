"""microseg suspend: the agent leaves everything as it is, until resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from microseg.cli import clock, instance, options, terminal
from microseg.cli.exits import Command
from microseg.gitops.control import Control
from microseg.gitops.record import Suspension

if TYPE_CHECKING:
    from microseg.config import Settings


@click.command("suspend", cls=Command)
@options.with_settings(*options.KERNEL)
@click.option("--why", default="", help="For those who read the status.")
@options.output_format
def command(settings: Settings, why: str, output_format: str) -> None:
    """Let the agent leave everything as it is, until resume.

    Also after a restart. The policy in force stays; rules that expire meanwhile go on as they were.
    """
    control = Control(settings.state_dir, settings.run_dir)
    who = instance.operator(settings).who
    control.suspend(Suspension(who, why, clock.now()))
    running = control.is_running()
    if output_format == "json":
        terminal.dump({"suspended": True, "who": who, "why": why, "agent_running": running})
        return
    terminal.say("The agent is suspended: the policy in force stays as it is.", bold=True)
    terminal.pairs(
        [
            ("agent", "" if running else "none runs; the next one starts suspended"),
            ("undo", "microseg resume"),
        ]
    )
