"""What becomes of packets, in the words that text, Markdown and JSON share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from microseg.analysis.difference import Kind
from microseg.policy.rules import Action, OrderedRule, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microseg.analysis.difference import Change
    from microseg.analysis.wording import Product
    from microseg.policy.rules import Decider

SO_FAR = {
    Verdict.ALLOW: "allowed",
    Verdict.DENY: "denied",
    Verdict.REJECT: "rejected",
    Verdict.AUDIT: "audited, so let pass",
}

LONGEST_RULE = 120
"""Characters of a rule that are shown."""

SHOWN_TERMS = 8
"""So many sets of a union, or services of a list, are shown."""

NO_CHANGE = "No change in meaning: every packet gets what it gets now"


@dataclass(frozen=True, slots=True)
class Responsible:
    """A rule, or the default, as it is shown.

    Attributes:
        policy: its name; empty for the default.
        text: in its canonical words.
        path: the file; empty when it isn't known.
        line: from 1; 0 without a file.

    """

    policy: str
    text: str
    path: str
    line: int

    @property
    def place(self) -> str:
        """The place for people, such as `shop.mseg:12`; empty when there is none."""
        return f"{self.path}:{self.line}" if self.path else ""

    @property
    def short(self) -> str:
        """The rule for people: where it stands they find all of it."""
        return self.text if len(self.text) <= LONGEST_RULE else f"{self.text[: LONGEST_RULE - 4]} ..."

    def __str__(self) -> str:
        return f"{self.short}  {self.place}".rstrip()


def told(product: Product) -> str:
    """Return a product as it is shown to people: long lists are cut, JSON has them whole."""
    text = f"{_cut(product.src, ' | ')} -> {_cut(product.dst, ' | ')}"
    return text if product.service == "any" else f"{text} : {_cut(product.service, ', ')}"


def _cut(text: str, between: str) -> str:
    parts = text.split(between)
    if len(parts) <= SHOWN_TERMS:
        return text
    shown = between.join(parts[: SHOWN_TERMS - 1])
    open_still = shown.count("(") - shown.count(")")
    return f"{shown}{between}... {len(parts) - SHOWN_TERMS + 1} more{')' * open_still}"


def responsible(deciders: Iterable[Decider]) -> list[Responsible]:
    """Return what decides some packets, each once."""
    return list(dict.fromkeys(map(_responsible, deciders)))


def grouped(changes: Iterable[Change]) -> list[tuple[str, list[Change]]]:
    """Return the changes under their headings."""
    groups = groupby(changes, key=lambda change: (change.kind, change.before))
    return [(_heading(*key), list(mine)) for key, mine in groups]


def _heading(kind: Kind, before: Verdict) -> str:
    said = kind.value.capitalize()
    if kind in (Kind.LOGGED, Kind.UNLOGGED):
        return f"{said}, {SO_FAR[before]} as before"
    return f"{said}, {SO_FAR[before]} so far"


def _responsible(decider: Decider) -> Responsible:
    if isinstance(decider, OrderedRule):
        span = decider.rule.span
        log = " log" if decider.rule.log else ""
        return Responsible(decider.policy.name, decider.rule.canonical() + log, span.path, span.line)
    if decider.span is None:
        text = "no policy" if decider.action is Action.ALLOW else "default deny, which is not written"
        return Responsible("", text, "", 0)
    text = f"default {decider.action.value}" + (" log" if decider.log else "")
    return Responsible("", text, decider.span.path, decider.span.line)
