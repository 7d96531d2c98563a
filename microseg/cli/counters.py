"""microseg counters: what each rule has judged, and what became of all packets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from microseg.cli import instance, options, terminal
from microseg.cli.exits import Command
from microseg.cli.plan_json import rule_object
from microseg.cli.terminal import Align
from microseg.compiler.image import DEFAULT_RULE_ID
from microseg.reconcile.counters import RuleTotal, count_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.abi_flow import Stats
    from microseg.config import Settings


@click.command("counters", cls=Command)
@options.with_settings(*options.KERNEL)
@options.output_format
def command(settings: Settings, output_format: str) -> None:
    """Show what each rule has judged, and what became of all packets.

    A rule counts the first packet of a connection, its first after a change of the policy, and every packet
    that is denied; packets of a known connection are not judged again. Counts go on when the policy changes.
    """
    host = instance.open_host(settings)
    totals = count_rules(host)
    stats = instance.open_flows(settings).stats()
    if output_format == "json":
        terminal.dump({"rules": [_rule_object(total) for total in totals]} | _stats_object(stats))
    else:
        _show_rules(totals)
        terminal.say()
        _show_stats(stats)


def _show_rules(totals: Sequence[RuleTotal]) -> None:
    rows = [
        (
            str(total.count.packets),
            str(total.count.bytes),
            total.rule.place if total.rule else "",
            _words(total),
        )
        for total in totals
    ]
    align = (Align.RIGHT, Align.RIGHT, Align.LEFT, Align.LEFT)
    terminal.table(("Packets", "Bytes", "Place", "Rule"), rows, align)


def _show_stats(stats: Stats) -> None:
    rows = [
        (str(packets), "passed" if outcome.passes else "dropped", outcome.meaning)
        for outcome, packets in stats.outcomes.items()
        if packets
    ]
    rows.append((str(stats.packets), "in all", f"{stats.passed} passed, {stats.dropped} dropped"))
    terminal.table(("Packets", "", "Because"), rows, (Align.RIGHT, Align.LEFT, Align.LEFT))
    for number, what in (
        (stats.events_lost, "events were lost: nobody took them out of the ring buffer"),
        (stats.events_limited, "events were held back by the rate limit"),
        (stats.sessions_full, "allowed packets found no room for their session"),
        (stats.rules_full, "judgements were not counted: the map of the counters is full"),
    ):
        if number:
            terminal.warn(f"{number} {what}")


def _words(total: RuleTotal) -> str:
    if total.rule:
        return total.rule.text
    if total.rule_id == DEFAULT_RULE_ID:
        return "the default"
    return f"rule #{total.rule_id:08x} of an earlier policy"


def _rule_object(total: RuleTotal) -> dict[str, Any]:
    return rule_object(total.rule_id, total.rule) | {
        "packets": total.count.packets,
        "bytes": total.count.bytes,
        "in_force": total.in_force,
    }


def _stats_object(stats: Stats) -> dict[str, Any]:
    return {
        "outcomes": {outcome.name.lower(): packets for outcome, packets in stats.outcomes.items()},
        "packets": stats.packets,
        "passed": stats.passed,
        "dropped": stats.dropped,
        "sessions_created": stats.sessions_created,
        "sessions_full": stats.sessions_full,
        "rejudged": stats.rejudged,
        "events_sent": stats.events_sent,
        "events_lost": stats.events_lost,
        "events_limited": stats.events_limited,
        "rules_full": stats.rules_full,
    }
