"""Two policies, or a policy and the kernel, compared: what `plan` and `diff` show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from microseg.cli import change_markdown, change_text, plan_text, room, terminal
from microseg.cli.change_json import effect_object
from microseg.cli.exits import ExitCode, error_object
from microseg.cli.plan_json import plan_object
from microseg.diagnostics import summary
from microseg.phases import Phase
from microseg.reconcile import effect
from microseg.reconcile.plan import compare
from microseg.reconcile.revision import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.cli.policy_input import PolicyInput
    from microseg.cli.room import Room
    from microseg.config import Settings
    from microseg.diagnostics import Diagnostic
    from microseg.reconcile.effect import Effect
    from microseg.reconcile.errors import ReconcileError
    from microseg.reconcile.plan import Plan

SCHEMA = "microseg-plan-1"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A plan and what there is to say about it.

    Attributes:
        plan: what would change in the maps.
        effect: what would change for traffic.
        before: what it was compared with, in words.
        remarks: about the policy.
        with_kernel: it was compared with the kernel.
        refusal: why an apply would refuse now; None when it wouldn't.
        rooms: how full the maps would be.

    """

    plan: Plan
    effect: Effect
    before: str
    remarks: tuple[Diagnostic, ...] = ()
    with_kernel: bool = False
    refusal: ReconcileError | None = None
    rooms: tuple[Room, ...] = ()

    def exit_code(self, *, detailed: bool) -> ExitCode:
        """Return CHANGES when asked for and there are any: in the maps of the kernel, else in the meaning."""
        changed = not self.plan.is_empty if self.with_kernel else bool(self.effect.changes)
        return ExitCode.CHANGES if detailed and changed else ExitCode.DONE


def of_revisions(settings: Settings, base: PolicyInput, given: PolicyInput, *, audit: bool) -> Comparison:
    """Compare two states of the text; needs no kernel."""
    capacities = settings.sizing.policy_capacities()
    desired, earlier = given.compiler(audit=audit)(capacities), base.compiler(audit=audit)(capacities)
    given.told(Phase.COMPARE, 0)
    return Comparison(
        compare(desired, earlier),
        effect.of_revisions(earlier, desired),
        describe(earlier.revision),
        desired.warnings,
        rooms=room.of(desired, capacities),
    )


def show(comparison: Comparison, output_format: str, *, entries: bool) -> None:
    """Print a comparison in one of the formats."""
    match output_format:
        case "json":
            terminal.dump(_object(comparison, entries=entries))
        case "markdown":
            click.echo("\n".join(_markdown(comparison)))
        case _:
            _show_text(comparison, entries=entries)


def _object(comparison: Comparison, *, entries: bool) -> dict[str, object]:
    refusal = comparison.refusal
    return (
        {"schema": SCHEMA, "against": comparison.before}
        | effect_object(comparison.effect)
        | plan_object(comparison.plan, entries=entries)
        | {"refusal": error_object(refusal) if refusal else None, "room": room.objects(comparison.rooms)}
    )


def _show_text(comparison: Comparison, *, entries: bool) -> None:
    plan = comparison.plan
    if comparison.remarks:
        terminal.warn(f"the policy is valid, with {summary(comparison.remarks)}: see microseg lint")
    if plan.is_empty:
        held = "the kernel already holds exactly this policy" if comparison.with_kernel else "same entries"
        terminal.say(f"Nothing changes: {held} ({comparison.before}).", bold=True)
    else:
        terminal.say(f"Plan: from {comparison.before}", bold=True)
        terminal.say(f"      to   {describe(plan.revision)}", bold=True)
        plan_text.show_outline(plan)
        terminal.pairs([("room", room.warning(comparison.rooms))])
        if plan.replaces_policy:
            change_text.show(comparison.effect)
        if entries:
            plan_text.show_entries(plan)
            room.show(comparison.rooms)
        terminal.say()
        terminal.say(_totals(comparison, entries=entries), bold=True)
    if comparison.refusal:
        terminal.warn(f"an apply would be refused now: {comparison.refusal.message}")
        terminal.remark("try", comparison.refusal.advice)


def _totals(comparison: Comparison, *, entries: bool) -> str:
    created, updated, deleted = plan_text.totals(comparison.plan)
    shown = "" if entries else " (--entries shows them)"
    return (
        f"Map entries: {created} to create, {updated} to update, {deleted} to delete{shown}."
        " Nothing has been changed." + (" To do it: microseg apply" if comparison.with_kernel else "")
    )


def _markdown(comparison: Comparison) -> Iterator[str]:
    plan = comparison.plan
    before, after = (change_markdown.code(each) for each in (comparison.before, describe(plan.revision)))
    yield f"### microseg: from {before} to {after}"
    yield from change_markdown.lines(comparison.effect)
    created, updated, deleted = plan_text.totals(plan)
    yield from ("", f"Map entries: {created} to create, {updated} to update, {deleted} to delete.")
    if comparison.refusal:
        yield from ("", f"An apply would be refused now: {comparison.refusal.message}")
