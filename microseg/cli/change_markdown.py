"""What changes for traffic, as a comment on a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.cli.change_words import NO_CHANGE, SO_FAR, grouped, responsible, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from microseg.analysis.difference import Change
    from microseg.policy.rules import Decider
    from microseg.reconcile.effect import Effect, Sessions

SHOWN = 50
"""Rows of a table: a comment on GitHub may have 65,536 characters."""

SHOWN_PARTS = 8
"""Exceptions, and rules, in one cell."""


def lines(effect: Effect) -> Iterator[str]:
    """Yield the lines, a table for each thing that can become of packets."""
    if not effect.changes:
        yield from ("", f"{NO_CHANGE}.")
    for heading, changes in grouped(effect.changes):
        yield from ("", f"**{heading}**", "", "| Packets | So far | Now | Such as |", "|---|---|---|---|")
        yield from map(_row, changes[:SHOWN])
        yield from _more(len(changes) - SHOWN)
    if effect.sessions and effect.sessions.cut:
        yield from _sessions(effect.sessions)


def code(text: str) -> str:
    """Return a text as code that can stand in a table, whatever is in it."""
    fence = "``" if "`" in text else "`"
    return fence + text.replace("|", "\\|") + fence


def _row(change: Change) -> str:
    part = change.part
    packets = [code(told(part.product)), *(f"except {code(told(each))}" for each in part.exceptions)]
    cells = [_cell(packets), _rules(change.rules_before), _rules(change.rules_after), code(str(part.witness))]
    return f"| {' | '.join(cells)} |"


def _rules(deciders: Iterable[Decider]) -> str:
    return _cell([_rule(each.short, each.place) for each in responsible(deciders)])


def _rule(text: str, place: str) -> str:
    return code(text) + (f" {code(place)}" if place else "")


def _cell(parts: list[str]) -> str:
    more = len(parts) - SHOWN_PARTS
    return "<br>".join([*parts[:SHOWN_PARTS], *([f"... and {more} more"] if more > 0 else [])])


def _sessions(sessions: Sessions) -> Iterator[str]:
    yield from ("", f"**{len(sessions.cut)} of {sessions.live} live sessions would be cut**", "")
    yield from ("| Session | Verdict | By |", "|---|---|---|")
    for each in sessions.cut[:SHOWN]:
        rule = _rule(each.after.text, each.after.place) if each.after else ""
        yield f"| {code(str(each.packet))} | {SO_FAR[each.verdict]} | {rule} |"
    yield from _more(len(sessions.cut) - SHOWN)


def _more(number: int) -> Iterator[str]:
    if number > 0:
        yield from ("", f"... and {number} more; `--format json` has all.")
