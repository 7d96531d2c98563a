"""microseg drift: what differs between the kernel and what was applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from microseg.cli import instance, options, terminal
from microseg.cli.entry_text import TITLES, describe
from microseg.cli.exits import Command, ExitCode
from microseg.reconcile.drift import Drift, read_drift
from microseg.reconcile.plan import Plan
from microseg.reconcile.revision import describe as describe_revision

if TYPE_CHECKING:
    from microseg.config import Settings
    from microseg.reconcile.drift import DriftReport, Finding
    from microseg.reconcile.records import Attribution

FOREIGN = frozenset({Drift.FILTER_SHADOWED})
"""What an apply can't put right, because it belongs to somebody else."""


@click.command("drift", cls=Command)
@options.with_settings(*options.KERNEL)
@options.output_format
def command(settings: Settings, output_format: str) -> ExitCode:
    """Show what differs between the kernel and what was applied, and change nothing.

    Exits with 2 when something differs. An apply puts right what is microseg's own; filters of others stay.
    """
    report = read_drift(instance.open_host(settings))
    for problem in report.problems:
        terminal.warn(problem)
    if output_format == "json":
        terminal.dump(_object(report))
    else:
        _show(report)
    return ExitCode.CHANGES if report.findings else ExitCode.DONE


def _show(report: DriftReport) -> None:
    generation = report.observed.generation
    of = f"generation {generation}, {describe_revision(report.applied.revision)}" if report.applied else ""
    if not report.findings:
        terminal.say(f"Nothing differs from {of}." if of else "No policy is in force.", bold=True)
        return
    count = terminal.count(len(report.findings), "difference")
    terminal.say(f"Drift: {count} from {of or 'what is recorded'}", bold=True)
    for finding in report.findings:
        terminal.say(f"  {finding.drift.value}  {_subject(finding, report)}")
        for place in _places(finding.rules):
            terminal.say(f"      {place}")
    if any(finding.drift not in FOREIGN for finding in report.findings):
        terminal.remark("try", "microseg apply puts it right")
    if any(finding.drift in FOREIGN for finding in report.findings):
        terminal.remark("note", "what others attached stays: remove it with the tool that attached it")


def _subject(finding: Finding, report: DriftReport) -> str:
    if finding.change is None:
        return f"{finding.subject}: {finding.detail}"
    return f"{TITLES[finding.change.map]}: {_words(finding, report)}"


def _words(finding: Finding, report: DriftReport) -> str:
    assert finding.change is not None, "only entries are described"
    try:
        return describe(finding.change, Plan(b"", None, names=report.names, old_names=report.names))
    except (ValueError, KeyError):
        return f"{finding.change.key.hex()}: {(finding.change.after or b'').hex()}, which says nothing"


def _places(rules: tuple[Attribution, ...]) -> list[str]:
    shown = [f"{rule.place}  {rule.text}".strip() for rule in rules[:3]]
    return [*shown, f"and {len(rules) - 3} more rules"] if len(rules) > 3 else shown


def _object(report: DriftReport) -> dict[str, Any]:
    return {
        "generation": report.observed.generation,
        "findings": [_finding_object(finding, report) for finding in report.findings],
        "problems": list(report.problems),
    }


def _finding_object(finding: Finding, report: DriftReport) -> dict[str, Any]:
    change = finding.change
    return {
        "kind": finding.drift.name.lower(),
        "heals": finding.drift not in FOREIGN,
        "subject": finding.subject or None,
        "detail": finding.detail or None,
        "entry": {
            "map": change.map.value,
            "key": change.key.hex(),
            "applied": change.before.hex() if change.before is not None else None,
            "found": change.after.hex() if change.after is not None else None,
            "text": _words(finding, report),
        }
        if change
        else None,
        "rules": [
            {"policy": rule.policy, "text": rule.text, "file": rule.path or None, "line": rule.line or None}
            for rule in finding.rules
        ],
    }
