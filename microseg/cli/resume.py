"""microseg resume: the agent goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from microseg.cli import options, terminal
from microseg.cli.exits import Command
from microseg.gitops.control import Control

if TYPE_CHECKING:
    from microseg.config import Settings


@click.command("resume", cls=Command)
@options.with_settings(*options.KERNEL)
@options.output_format
def command(settings: Settings, output_format: str) -> None:
    """Let the agent go on."""
    control = Control(settings.state_dir, settings.run_dir)
    was_suspended, running = control.resume(), control.is_running()
    if output_format == "json":
        terminal.dump({"suspended": False, "was_suspended": was_suspended, "agent_running": running})
        return
    words = "The agent goes on." if was_suspended else "Nothing to do: the agent wasn't suspended."
    terminal.say(words, bold=True)
    terminal.pairs([("agent", "" if running else "none runs: microseg agent")])
