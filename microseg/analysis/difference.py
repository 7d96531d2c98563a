"""What a change of the policy does to traffic: which packets get something else, and through which rules.

Rules that are the same in both policies, in the same order, make no difference by themselves. So the first
rule of either policy that matches a packet whose treatment changes is one that the other policy hasn't got
(or, when the defaults differ, there is none); what the other policy does with the packet stands further down.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from microseg.analysis.classes import Bits, ones
from microseg.analysis.coverage import Escapes, cover
from microseg.analysis.merging import Merged, Side
from microseg.analysis.space import meet
from microseg.analysis.wording import Cut, Part, Wording
from microseg.policy.rules import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from microseg.analysis.book import Outcome
    from microseg.analysis.space import Box
    from microseg.analysis.stack import Stack
    from microseg.policy.rules import Decider, Ruleset


class Kind(Enum):
    """What becomes of packets; the value is how it is said."""

    ALLOWED = "newly allowed"
    DENIED = "newly denied"
    REJECTED = "newly rejected"
    AUDITED = "now audited"
    LOGGED = "now logged"
    UNLOGGED = "no longer logged"


_OF_VERDICT = {
    Verdict.ALLOW: Kind.ALLOWED,
    Verdict.DENY: Kind.DENIED,
    Verdict.REJECT: Kind.REJECTED,
    Verdict.AUDIT: Kind.AUDITED,
}


@dataclass(frozen=True, slots=True)
class Change:
    """Packets that get something else.

    Attributes:
        kind: what becomes of them; LOGGED and UNLOGGED only when they keep their verdict.
        before: their verdict so far.
        after: their verdict from now on.
        part: which packets, with a witness.
        rules_before: what decided them so far.
        rules_after: what decides them from now on.

    """

    kind: Kind
    before: Verdict
    after: Verdict
    part: Part
    rules_before: tuple[Decider, ...]
    rules_after: tuple[Decider, ...]


def compare(before: Ruleset, after: Ruleset) -> list[Change]:
    """Return the changes for all packets that get something else, and for no others."""
    merged = Merged(before, after)
    by_kind: dict[tuple[Kind, Verdict, Verdict], list[_Atom]] = {}
    for atom in _atoms(merged):
        by_kind.setdefault(_kind(atom.outcomes), []).append(atom)
    order = list(Kind)
    wording = Wording(merged.stack, before, after)
    found: list[Change] = []
    for key in sorted(by_kind, key=lambda each: (order.index(each[0]), *each[1:])):
        atoms = by_kind[key]
        for part in wording.describe([atom.cut for atom in atoms]):
            mine = [atoms[number] for number in part.cuts]
            rules = [_once(atom.deciders[side] for atom in mine) for side in (0, 1)]
            found.append(Change(*key, part, *rules))
    return found


@dataclass(frozen=True, slots=True)
class _Atom:
    """Packets of one decider before and one after."""

    cut: Cut
    outcomes: tuple[Outcome, Outcome]
    deciders: tuple[Decider, Decider]


def _once(deciders: Iterable[Decider]) -> tuple[Decider, ...]:
    """Return each object once; comparing whole policies would take its time."""
    return tuple({id(decider): decider for decider in deciders}.values())


def _kind(outcomes: tuple[Outcome, Outcome]) -> tuple[Kind, Verdict, Verdict]:
    before, after = outcomes
    if before.verdict is not after.verdict:
        return _OF_VERDICT[after.verdict], before.verdict, after.verdict
    return Kind.LOGGED if after.log else Kind.UNLOGGED, before.verdict, after.verdict


def _atoms(merged: Merged) -> Iterator[_Atom]:
    stack, (before, after) = merged.stack, merged.sides
    for at in ones(before.boxes & ~after.boxes):
        yield from _of_box(stack, at, before, after, mirrored=False)
    for at in ones(after.boxes & ~before.boxes):
        yield from _of_box(stack, at, after, before, mirrored=True)
    outcomes = before.default_outcome, after.default_outcome
    if outcomes[0] != outcomes[1]:
        for box in stack.space.everything():
            cut = _cut(stack, box, stack.all)
            if cut:
                yield _Atom(cut, outcomes, (before.default, after.default))


def _of_box(stack: Stack, at: int, mine: Side, other: Side, *, mirrored: bool) -> Iterator[_Atom]:
    """Yield the packets that meet this box first, for each box of the other side that decides them there."""
    box, leg = stack.boxes[at], mine.leg(at)
    overlapping = stack.overlapping(box)
    earlier = overlapping & ((1 << at) - 1)
    rivals = overlapping & other.boxes & ~earlier

    def atom(cut: Cut, outcome: Outcome, decider: Decider) -> _Atom:
        outcomes, deciders = (leg.outcome, outcome), (leg.rule, decider)
        if mirrored:
            return _Atom(cut, (outcomes[1], outcomes[0]), (deciders[1], deciders[0]))
        return _Atom(cut, outcomes, deciders)

    for rival in ones(rivals & ~other.with_outcome(leg.outcome)):
        part = meet(box, stack.boxes[rival])
        cut = _cut(stack, part, earlier | rivals & ((1 << rival) - 1)) if part else None
        if cut:
            yield atom(cut, other.leg(rival).outcome, other.leg(rival).rule)
    if other.default_outcome != leg.outcome:
        cut = _cut(stack, box, earlier | rivals)
        if cut:
            yield atom(cut, other.default_outcome, other.default)


def _cut(stack: Stack, box: Box, without: Bits) -> Cut | None:
    """Return what of a box is in none of some boxes, if anything."""
    without &= stack.overlapping(box)
    coverage = cover(stack, box, without)
    return Cut(box, without, coverage.cell) if isinstance(coverage, Escapes) else None
