"""microseg apply: bring the kernel to the policy, all of it or nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from microseg.cli import (
    durations,
    hook_text,
    instance,
    options,
    plan_file,
    plan_text,
    policy_input,
    progress,
    requests,
    terminal,
)
from microseg.cli.exits import Command, ExitCode
from microseg.cli.plan_json import plan_object
from microseg.diagnostics import summary
from microseg.reconcile.apply import KEEP_PROGRAM_FLAG, apply
from microseg.reconcile.guards import BLAST_FLAG, LOCKOUT_FLAG, TESTS_FLAG
from microseg.reconcile.records import revision_to_json
from microseg.reconcile.revision import describe
from microseg.reconcile.saved import read

if TYPE_CHECKING:
    from microseg.config import Settings
    from microseg.reconcile.saved import SavedPlan
    from microseg.reconcile.transaction import Result


TRACE_PIPE = "/sys/kernel/tracing/trace_pipe"
"""Where the DEBUG build writes."""


@click.command("apply", cls=Command)
@click.argument("plan", required=False, type=click.Path(dir_okay=False, path_type=Path))
@options.with_settings(*options.POLICY, *options.WRITING, *options.ATTACHING, "debug_program")
@options.revision
@options.audit
@click.option(
    "--confirm-within",
    "confirm_within_s",
    callback=durations.seconds,
    metavar="TIME",
    help="The old policy comes back by itself unless microseg confirm comes first: 90s, 5m, 2h.",
)
@click.option(TESTS_FLAG, "allow_failing_tests", is_flag=True, help="Apply although policy tests fail.")
@click.option(LOCKOUT_FLAG, "allow_lockout", is_flag=True, help="Apply although it cuts this session off.")
@click.option(BLAST_FLAG, "allow_blast_radius", is_flag=True, help="Apply although much changes at once.")
@click.option(
    KEEP_PROGRAM_FLAG, "keep_program", is_flag=True, help="Don't replace the program that is loaded."
)
@options.output_format
def command(
    settings: Settings,
    plan: Path | None,
    rev: str | None,
    output_format: str,
    *,
    audit: bool,
    allow_blast_radius: bool,
    **asked: Any,  # noqa: ANN401  fields of Request
) -> ExitCode:
    """Bring the kernel to the policy: all of it, or nothing.

    The new policy is staged beside the one in force, read back and verified; then one store switches. When
    anything fails, the policy in force stays as it is. The first apply loads the program and attaches it to
    the interfaces named by --interface or in microseg.toml.

    With PLAN, a file of microseg plan --out, what that plan showed is done, or, when anything it was made
    from has changed since, nothing (exit 3).
    """
    saved = _saved(plan, rev, audit=audit)
    if saved:
        settings, rev, audit = plan_file.settings_of(saved, settings), saved.origin.rev, saved.origin.audit
    with policy_input.chosen(settings.policy_dir, rev) as given, progress.of_steps() as announce:
        request = replace(requests.request(settings, given.compiler(audit=audit)), saved=saved, **asked)
        if allow_blast_radius:
            request = replace(request, limits=None)
        result = apply(instance.open_host(settings), request, announce=announce)
    if output_format == "json":
        terminal.dump(_object(result))
    else:
        _show(result)
    if settings.debug_program:
        terminal.warn(f"the program traces each packet, which is slow: cat {TRACE_PIPE}")
        terminal.remark("try", "microseg apply --no-debug-program ends it")
    return ExitCode.DONE


def _saved(plan: Path | None, rev: str | None, *, audit: bool) -> SavedPlan | None:
    if plan is None:
        return None
    if rev is not None or audit:
        raise click.UsageError(
            "A saved plan says itself which policy it is for: leave --rev and --audit away."
        )
    return read(plan)


def _show(result: Result) -> None:
    for problem in result.warnings:
        terminal.warn(problem)
    if result.desired.warnings:
        terminal.warn(f"the policy is valid, with {summary(result.desired.warnings)}: see microseg lint")
    if result.plan.is_empty:
        _show_unchanged(result)
        return
    revision = describe(result.plan.revision)
    if not result.plan.replaces_policy:
        terminal.say(f"Generation {result.generation} stays in force{_otherwise(result)}.", bold=True)
    else:
        terminal.say(f"Generation {result.generation} is in force: {revision}", bold=True, fg="green")
    created, updated, deleted = plan_text.totals(result.plan)
    terminal.pairs(
        [
            ("before", _before(result)),
            ("entries", f"{created} created, {updated} updated, {deleted} deleted"),
            ("upgrade", "; ".join(result.plan.upgrade)),
            ("attached", hook_text.interfaces(result.plan.attach)),
            ("settings", ", ".join(f"{it.name} = {it.after}" for it in result.plan.settings)),
            ("xdp", hook_text.xdp_limits(result.plan.attach)),
            ("took", f"{result.duration_ms / 1000:.2f} s"),
            ("confirm", _confirm(result)),
            ("undo", _undo(result)),
        ]
    )


def _show_unchanged(result: Result) -> None:
    terminal.say(
        f"Nothing changes: generation {result.generation} already holds exactly this policy.", bold=True
    )
    if result.known.revision != result.plan.revision:
        before, after = describe(result.known.revision), describe(result.plan.revision)
        terminal.pairs([("recorded", f"it is {after} now, and was {before}")])


def _otherwise(result: Result) -> str:
    plan = result.plan
    parts = [", by another program" if plan.upgrade else ", on more interfaces" if plan.attach else ""]
    return "".join([*parts, ", with other settings" if plan.settings else ""])


def _before(result: Result) -> str:
    if not result.plan.generation:
        return "no policy, everything passed"
    return f"generation {result.plan.generation}, {describe(result.known.revision)}"


def _confirm(result: Result) -> str:
    if not result.confirm_within_s:
        return ""
    before = result.plan.generation
    following = f"generation {before}" if before else "no policy (everything passes)"
    time = durations.words(result.confirm_within_s)
    return f"microseg confirm, within {time}; otherwise {following} comes back by itself"


def _undo(result: Result) -> str:
    if result.can_roll_back or result.confirm_within_s:
        return "microseg rollback"
    if not result.plan.generation:
        return "microseg detach (everything passes again)"
    interfaces = " ".join(f"--interface {it.interface}" for it in result.plan.attach)
    return f"microseg detach {interfaces}" if interfaces and not result.plan.replaces_policy else ""


def _object(result: Result) -> dict[str, Any]:
    return {
        "generation": result.generation,
        "revision": revision_to_json(result.plan.revision),
        "previous_generation": result.plan.generation,
        "previous_revision": revision_to_json(result.known.revision),
        "changed": not result.plan.is_empty,
        "staged": result.staged,
        "can_roll_back": result.can_roll_back,
        "confirm_within_s": result.confirm_within_s or None,
        "duration_ms": result.duration_ms,
        "warnings": list(result.warnings),
        "plan": plan_object(result.plan),
    }
