"""Policies of equal priority must not decide a packet differently: the order of files has no meaning."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from microseg.analysis.book import Book
from microseg.analysis.classes import Bits, ones, union
from microseg.analysis.coverage import Escapes, cover
from microseg.analysis.space import meet
from microseg.diagnostics import Code, Diagnostic, Label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from microseg.policy.packet import Packet
    from microseg.policy.rules import OrderedRule, Rule, Ruleset


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two rules, of policies of equal priority, that decide a packet differently.

    Attributes:
        first: the rule of the policy whose name comes first.
        second: the rule of the other policy.
        packet: one that both decide, each in its policy, and nothing before them.

    """

    first: OrderedRule
    second: OrderedRule
    packet: Packet


def find(ruleset: Ruleset) -> list[Diagnostic]:
    """Return an error for each two policies of equal priority that decide some packet differently."""
    if not are_possible(ruleset):
        return []
    return [diagnostic(conflict) for conflict in conflicts(Book(ruleset))]


def are_possible(ruleset: Ruleset) -> bool:
    """Say whether there are two policies of equal priority at all."""
    return len({policy.priority for policy in ruleset.policies}) < len(ruleset.policies)


def conflicts(book: Book) -> Iterator[Conflict]:
    """Yield one conflict for each two policies that are in conflict."""
    decided: Bits = 0
    by_priority = groupby(range(len(book.rules)), key=lambda number: book.rules[number].policy.priority)
    for _, numbers in by_priority:
        by_policy = groupby(numbers, key=lambda number: book.rules[number].policy.name)
        tier = {name: union(book.boxes[number] for number in mine) for name, mine in by_policy}
        if len(tier) > 1:
            yield from _within(book, tier, decided)
        decided |= union(tier.values())


def _within(book: Book, tier: Mapping[str, Bits], decided: Bits) -> Iterator[Conflict]:
    """Yield the conflicts of policies of one priority: boxes by name, and the boxes before all of them."""
    rivals = union(tier.values())
    for boxes in tier.values():
        rivals &= ~boxes
        unseen = rivals
        for at in ones(boxes):
            rule = book.rules[book.owner[at]]
            contrary = (
                unseen & book.stack.overlapping(book.stack.boxes[at]) & ~book.with_verdict(rule.verdict)
            )
            while contrary:
                other = contrary & -contrary
                conflict = _between(book, at, other.bit_length() - 1, decided | boxes, tier)
                contrary &= ~other
                if conflict:
                    yield conflict
                    unseen &= ~tier[conflict.second.policy.name]
                    contrary &= unseen


def _between(
    book: Book, at: int, rival: int, before_first: Bits, tier: Mapping[str, Bits]
) -> Conflict | None:
    """Return the conflict of two boxes, if a packet of both is decided by neither's policy before."""
    shared = meet(book.stack.boxes[at], book.stack.boxes[rival])
    if shared is None:
        return None
    first, second = book.rules[book.owner[at]], book.rules[book.owner[rival]]
    before = before_first & ((1 << at) - 1) | tier[second.policy.name] & ((1 << rival) - 1)
    coverage = cover(book.stack, shared, before)
    if not isinstance(coverage, Escapes):
        return None
    return Conflict(first, second, book.space.packet(coverage.cell))


def diagnostic(conflict: Conflict) -> Diagnostic:
    """Return the error for a conflict."""
    first, second = conflict.first, conflict.second
    name, priority = first.policy.name, first.policy.priority
    return Diagnostic.of(
        Code.CONFLICT,
        second.rule.span,
        f"policies `{name}` and `{second.policy.name}` both have priority {priority} and disagree about "
        f"{conflict.packet}",
        Label(second.rule.span, f"`{second.policy.name}` says {second.verdict.name.lower()}"),
        Label(first.rule.span, f"`{name}` says {first.verdict.name.lower()}"),
        help=_advice(first, second),
    )


def _advice(first: OrderedRule, second: OrderedRule) -> str:
    """Return how to settle it; the narrower rule would never match behind the wider one."""
    winner, loser = (second, first) if _is_within(second.rule, first.rule) else (first, second)
    priority = winner.policy.priority
    if priority:
        return (
            "give the one that should win a lower number: "
            f"`policy {winner.policy.name} priority {priority - 1} {{`"
        )
    return f"give the one that should lose a higher number: `policy {loser.policy.name} priority 1 {{`"


def _is_within(rule: Rule, other: Rule) -> bool:
    return (
        rule.src.addresses <= other.src.addresses
        and rule.dst.addresses <= other.dst.addresses
        and rule.service.services <= other.service.services
    )
