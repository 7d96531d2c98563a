"""microseg plan: what an apply would change. Changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from microseg.cli import (
    comparison,
    instance,
    options,
    phase_bar,
    plan_file,
    policy_input,
    requests,
    room,
    terminal,
)
from microseg.cli.comparison import Comparison
from microseg.cli.exits import Command, ExitCode
from microseg.phases import Phase
from microseg.reconcile import effect
from microseg.reconcile.apply import propose, refusal
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.revision import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.abi_session import Session
    from microseg.cli.policy_input import PolicyInput
    from microseg.config import Settings
    from microseg.reconcile.transaction import Transaction


@click.command("plan", cls=Command)
@options.with_settings(*options.POLICY, *options.KERNEL, *options.ATTACHING)
@options.revision
@click.option("--against", metavar="REV", help="Compare with this commit instead of the kernel.")
@options.audit
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save the plan in this file, for microseg apply FILE.",
)
@options.comparing
@options.output_format_with("markdown")
def command(
    settings: Settings,
    rev: str | None,
    against: str | None,
    output_format: str,
    *,
    audit: bool,
    out: Path | None,
    entries: bool,
    detailed_exitcode: bool,
) -> ExitCode:
    """Show what an apply would change, and change nothing.

    Compares the policy with what is in the kernel now, or, with --against, with the policy of a commit, which
    needs neither root nor a kernel. Says which packets get something else, exactly, and which live sessions
    would be cut.
    """
    if out and against is not None:
        raise click.UsageError("--out saves what an apply would do; --against compares with a commit.")
    with (
        policy_input.chosen(settings.policy_dir, rev) as plain,
        phase_bar.shown(phase_bar.PLAN, output_format) as told,
    ):
        given = replace(plain, told=told)
        if against is None:
            tx = _proposal(settings, given, audit=audit)
            told(Phase.COMPARE, 0)
            found = _with_kernel(settings, tx)
            if out:
                plan_file.write(out, tx, settings, rev, audit=audit)
        else:
            with policy_input.committed(settings.policy_dir, against) as base:
                found = comparison.of_revisions(settings, base, given, audit=audit)
    comparison.show(found, output_format, entries=entries)
    if out and output_format == "text":
        terminal.say(f"The plan is saved. To carry it out, and nothing else: microseg apply {out}")
    return found.exit_code(detailed=detailed_exitcode)


def _proposal(settings: Settings, given: PolicyInput, *, audit: bool) -> Transaction:
    request = requests.request(settings, given.compiler(audit=audit))
    tx = propose(instance.open_host(settings), request)
    for problem in tx.warnings:
        terminal.warn(problem)
    return tx


def _with_kernel(settings: Settings, tx: Transaction) -> Comparison:
    return Comparison(
        tx.plan,
        effect.of_transaction(tx, _sessions(settings, tx)),
        _in_force(tx),
        tx.desired.warnings,
        with_kernel=True,
        refusal=refusal(tx),
        rooms=room.of(tx.desired, tx.capacities()),
    )


def _sessions(settings: Settings, tx: Transaction) -> Sequence[Session] | None:
    """Return the live sessions; None when they can't be read, which is no reason not to plan."""
    if not tx.observed.loaded:
        return []
    try:
        return list(instance.open_flows(settings).sessions())
    except KernelError as error:
        terminal.warn(f"the live sessions could not be read: {error.message}")
        return None


def _in_force(tx: Transaction) -> str:
    if not tx.observed.loaded:
        return "nothing (no program is loaded, everything passes)"
    if not tx.observed.generation:
        return "no policy (everything passes)"
    return f"generation {tx.observed.generation}, {describe(tx.known.revision)}"
