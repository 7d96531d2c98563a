"""microseg plan: what an apply would change. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from microseg.cli import instance, options, plan_text, policy_input, terminal
from microseg.cli.exits import Command, ExitCode, error_object
from microseg.cli.plan_json import plan_object
from microseg.diagnostics import summary
from microseg.reconcile.apply import propose, refusal
from microseg.reconcile.plan import Plan, compare
from microseg.reconcile.revision import describe
from microseg.reconcile.transaction import Request

if TYPE_CHECKING:
    from microseg.cli.policy_input import PolicyInput
    from microseg.config import Settings
    from microseg.diagnostics import Diagnostic
    from microseg.reconcile.errors import ReconcileError
    from microseg.reconcile.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Comparison:
    """A plan and what there is to say about it.

    Attributes:
        plan: what would change.
        before: what it was compared with, in words.
        remarks: about the policy.
        refusal: why an apply would refuse now; None when it wouldn't.
        with_kernel: it was compared with the kernel.

    """

    plan: Plan
    before: str
    remarks: tuple[Diagnostic, ...]
    refusal: ReconcileError | None
    with_kernel: bool


@click.command("plan", cls=Command)
@options.with_settings(*options.POLICY, *options.KERNEL, *options.ATTACHING)
@options.revision
@click.option("--against", metavar="REV", help="Compare with this commit instead of the kernel.")
@options.audit
@click.option("--entries", is_flag=True, help="Show every map entry.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@options.output_format
def command(
    settings: Settings,
    rev: str | None,
    against: str | None,
    output_format: str,
    *,
    audit: bool,
    entries: bool,
    detailed_exitcode: bool,
) -> ExitCode:
    """Show what an apply would change, and change nothing.

    Compares the policy with what is in the kernel now, or, with --against, with the policy of a commit, which
    needs neither root nor a kernel.
    """
    with policy_input.chosen(settings.policy_dir, rev) as given:
        if against is None:
            comparison = _with_kernel(settings, given, audit=audit)
        else:
            comparison = _with_commit(settings, given, against, audit=audit)
    if output_format == "json":
        refused = {"refusal": error_object(comparison.refusal) if comparison.refusal else None}
        terminal.dump(plan_object(comparison.plan) | refused)
    else:
        _show(comparison, entries=entries)
    changes = detailed_exitcode and not comparison.plan.is_empty
    return ExitCode.CHANGES if changes else ExitCode.DONE


def _with_kernel(settings: Settings, given: PolicyInput, *, audit: bool) -> Comparison:
    request = Request(
        given.compiler(audit=audit),
        instance.operator(settings),
        settings.interfaces,
        settings.hook,
        sizing=settings.sizing,
        settings=settings.data_plane,
    )
    tx = propose(instance.open_host(settings), request)
    for problem in tx.warnings:
        terminal.warn(problem)
    return Comparison(tx.plan, _in_force(tx), tx.desired.warnings, refusal(tx), with_kernel=True)


def _with_commit(settings: Settings, given: PolicyInput, against: str, *, audit: bool) -> Comparison:
    desired = given.compiler(audit=audit)(settings.sizing.policy_capacities())
    with policy_input.committed(settings.policy_dir, against) as earlier:
        base = earlier.compiler(audit=audit)(settings.sizing.policy_capacities())
    before = describe(base.revision)
    return Comparison(compare(desired, base), before, desired.warnings, None, with_kernel=False)


def _in_force(tx: Transaction) -> str:
    if not tx.observed.loaded:
        return "nothing (no program is loaded, everything passes)"
    if not tx.observed.generation:
        return "no policy (everything passes)"
    return f"generation {tx.observed.generation}, {describe(tx.known.revision)}"


def _show(comparison: Comparison, *, entries: bool) -> None:
    plan = comparison.plan
    if comparison.remarks:
        terminal.warn(f"the policy is valid, with {summary(comparison.remarks)}: see microseg lint")
    if plan.is_empty:
        held = "the kernel already holds exactly this policy" if comparison.with_kernel else "same entries"
        terminal.say(f"Nothing changes: {held} ({comparison.before}).", bold=True)
    else:
        terminal.say(f"Plan: from {comparison.before}", bold=True)
        terminal.say(f"      to   {describe(plan.revision)}", bold=True)
        plan_text.show(plan, entries=entries)
        created, updated, deleted = plan_text.totals(plan)
        terminal.say()
        terminal.say(
            f"{created} to create, {updated} to update, {deleted} to delete. Nothing has been changed."
            + (" To do it: microseg apply" if comparison.with_kernel else ""),
            bold=True,
        )
    if comparison.refusal:
        terminal.warn(f"an apply would be refused now: {comparison.refusal.message}")
        terminal.remark("try", comparison.refusal.advice)
