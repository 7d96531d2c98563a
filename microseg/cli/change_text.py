"""What changes for traffic, for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.analysis.difference import Kind
from microseg.cli import terminal
from microseg.cli.change_words import NO_CHANGE, SO_FAR, grouped, responsible, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microseg.analysis.difference import Change
    from microseg.policy.rules import Decider
    from microseg.reconcile.effect import Effect, Sessions

SHOWN_PRODUCTS = 20
"""So many products of one heading are shown."""

SHOWN_EXCEPTIONS = 8
SHOWN_RULES = 3
SHOWN_SESSIONS = 5

_STYLES = {
    Kind.ALLOWED: ("+", "green"),
    Kind.DENIED: ("-", "red"),
    Kind.REJECTED: ("-", "red"),
    Kind.AUDITED: ("~", "yellow"),
    Kind.LOGGED: ("~", "cyan"),
    Kind.UNLOGGED: ("~", "cyan"),
}


def show(effect: Effect) -> None:
    """Print what packets and sessions there are that get something else."""
    for heading, changes in grouped(effect.changes):
        terminal.say()
        terminal.say(heading, bold=True)
        for change in changes[:SHOWN_PRODUCTS]:
            _show_change(change)
        _more(len(changes) - SHOWN_PRODUCTS, "product")
    if not effect.changes:
        terminal.say()
        terminal.say(f"{NO_CHANGE}.", bold=True)
    if effect.sessions and effect.sessions.cut:
        _show_sessions(effect.sessions)


def _show_change(change: Change) -> None:
    sign, color = _STYLES[change.kind]
    part = change.part
    terminal.say(f"  {sign} {told(part.product)}", fg=color)
    for exception in part.exceptions[:SHOWN_EXCEPTIONS]:
        terminal.say(f"      except  {told(exception)}", fg=color)
    _more(len(part.exceptions) - SHOWN_EXCEPTIONS, "exception", indent=6)
    for lead, deciders in (("so far", change.rules_before), ("now", change.rules_after)):
        for number, line in enumerate(_rules(deciders)):
            terminal.say(f"      {'' if number else lead:<8}{line}")
    terminal.say(f"      {'such as':<8}{part.witness}")


def _rules(deciders: Sequence[Decider]) -> Iterator[str]:
    found = responsible(deciders)
    yield from map(str, found[:SHOWN_RULES])
    if len(found) > SHOWN_RULES:
        yield f"... and {terminal.count(len(found) - SHOWN_RULES, 'more rule')}"


def _show_sessions(sessions: Sessions) -> None:
    cut = sessions.cut
    terminal.say()
    would = f"{len(cut)} of {terminal.count(sessions.live, 'live session')} would be cut"
    terminal.say(f"Sessions: {would}", bold=True)
    for each in cut[:SHOWN_SESSIONS]:
        rule = f" by {each.after.text}  {each.after.place}".rstrip() if each.after else ""
        terminal.say(f"  - {each.packet}  {SO_FAR[each.verdict]}{rule}", fg="red")
    _more(len(cut) - SHOWN_SESSIONS, "session")


def _more(number: int, word: str, indent: int = 2) -> None:
    if number > 0:
        terminal.say(f"{'':{indent}}... and {terminal.count(number, f'more {word}')}; --format json has all")
