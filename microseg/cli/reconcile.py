"""microseg reconcile: the agent looks and tries now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from microseg.cli import clock, options, terminal
from microseg.cli.agent_log import name_of
from microseg.cli.exits import Command, ExitCode
from microseg.gitops.control import Control
from microseg.gitops.record_store import RecordStore
from microseg.reconcile.errors import GuardError

if TYPE_CHECKING:
    from datetime import datetime

    from microseg.config import Settings
    from microseg.gitops.record import AgentRecord

POLL_S = 0.05


@click.command("reconcile", cls=Command)
@options.with_settings(*options.KERNEL)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for the agent to have tried; 0: don't.",
)
@options.output_format
def command(settings: Settings, wait_s: float, output_format: str) -> ExitCode:
    """Let the agent look and try now, whatever failed before.

    Tells how it ended; exits with 1 when the try failed.
    """
    control = Control(settings.state_dir, settings.run_dir)
    if not control.is_running():
        raise GuardError("no agent of this instance runs; nothing was changed", advice="microseg agent")
    began = clock.now()
    control.wake(asked=True)
    record = _wait(RecordStore(settings.state_dir, settings.run_dir), began, wait_s)
    if output_format == "json":
        ended = record.attempt if record else None
        terminal.dump(
            {
                "tried": ended is not None,
                "outcome": ended.outcome.value if ended else None,
                "identity": ended.candidate.identity if ended else None,
                "message": ended.message if ended else "",
                "generation": ended.generation if ended else None,
            }
        )
    else:
        _show(record)
    failed = record is not None and record.attempt is not None and not record.attempt.succeeded
    return ExitCode.FAILED if failed or (record is None and wait_s) else ExitCode.DONE


def _wait(store: RecordStore, began: datetime, wait_s: float) -> AgentRecord | None:
    """Return the record once the agent has looked and waits again; None: it took longer."""
    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        record, _ = store.read()
        if record.seen_at and record.next_look and began < record.seen_at < record.next_look:
            return record
        time.sleep(POLL_S)
    return None


def _show(record: AgentRecord | None) -> None:
    if record is None:
        terminal.say("The agent was told. microseg status shows how it ends.", bold=True)
    elif record.suspension:
        terminal.say("The agent is suspended, and leaves everything as it is: microseg resume", bold=True)
    elif record.attempt is None:
        problem = record.problem.message if record.problem else "nothing to apply yet"
        terminal.say(f"The agent has nothing to apply: {problem}", bold=True)
    elif record.attempt.succeeded:
        attempt = record.attempt
        terminal.say(
            f"Generation {attempt.generation} is in force: {name_of(attempt.candidate)}",
            bold=True,
            fg="green",
        )
    else:
        terminal.fail(f"{name_of(record.attempt.candidate)}: {record.attempt.message}")
        terminal.remark("try", record.attempt.advice or "microseg status")
