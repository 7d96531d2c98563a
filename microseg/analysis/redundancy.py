"""Rules, and whole policies, without which every packet would get just what it gets with them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

from microseg.analysis.classes import Bits, ones, union
from microseg.analysis.coverage import Covered, cover
from microseg.analysis.space import meet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from microseg.analysis.book import Book
    from microseg.analysis.space import Box


@dataclass(frozen=True, slots=True)
class Redundant:
    """Rules that can be left out together, today and on every day until they expire.

    Attributes:
        rules: their numbers: one, or all of a policy that match something.
        instead: the numbers of later rules that do the same to packets which others would decide otherwise.
        default: whether the default does the same to the rest.

    """

    rules: tuple[int, ...]
    instead: tuple[int, ...]
    default: bool


Wanted: TypeAlias = "Callable[[Redundant], bool]"
"""Says whether rules are to be left out; if they aren't, the others must do without their going."""


def find(book: Book, gone: Iterable[int], wanted: Wanted) -> list[Redundant]:
    """Return rules that can be left out, all of them together with those that are gone already.

    Two rules can each be redundant because of the other; then the first is the one to go.
    """
    return _one_after_another(book, ([number] for number in range(len(book.rules))), set(gone), wanted)


def find_policies(book: Book, gone: Iterable[int], wanted: Wanted) -> list[Redundant]:
    """Return policies whose rules can be left out, all of them together with those that are gone already."""
    by_policy = groupby(range(len(book.rules)), key=lambda number: book.rules[number].policy.name)
    return _one_after_another(book, (list(numbers) for _, numbers in by_policy), set(gone), wanted)


def _one_after_another(
    book: Book, candidates: Iterable[Sequence[int]], gone: set[int], wanted: Wanted
) -> list[Redundant]:
    found: list[Redundant] = []
    boxes = union(book.boxes[number] for number in gone)
    for candidate in candidates:
        rules = [number for number in candidate if number not in gone and book.boxes[number]]
        redundant = _redundant(book, rules, boxes) if rules else None
        if redundant and wanted(redundant):
            found.append(redundant)
            gone.update(rules)
            boxes |= union(book.boxes[number] for number in rules)
    return found


def _redundant(book: Book, rules: Sequence[int], gone: Bits) -> Redundant | None:
    """Return the rules as redundant, if they are when these boxes of others aren't there."""
    leaving = union(book.boxes[number] for number in rules)
    instead: Bits = 0
    default = False
    for number in rules:
        for box, present in _cases(book, number, gone):
            found = _substitutes(book, number, box, present, leaving)
            if found is None:
                return None
            instead |= found.by
            default |= found.default
    return Redundant(tuple(rules), tuple(book.rules_of(instead)), default)


def _cases(book: Book, number: int, gone: Bits) -> Iterator[tuple[Box, Bits]]:
    """Yield each box of a rule with the boxes that share a packet with it on each day that matters."""
    for box in book.boxes_of(number):
        overlapping = book.stack.overlapping(box) & ~gone
        for day in book.last_days(number, overlapping):
            yield box, overlapping & book.lasting(day)


@dataclass(frozen=True, slots=True)
class _Substitutes:
    by: Bits
    default: bool


def _substitutes(book: Book, number: int, box: Box, present: Bits, leaving: Bits) -> _Substitutes | None:
    """Return what would decide the packets of a rule's box in its place, if all that would decides alike.

    A packet that reaches the rule must meet, of the later boxes that stay, one with the same outcome before
    it meets one with another. What an earlier box decides doesn't reach the rule: if that box is leaving as
    well, its packets are looked at on its own account.
    """
    outcome = book.outcomes[number]
    earlier = present & book.before(number)
    staying = present & ~earlier & ~leaving
    alike = staying & book.with_outcome(outcome)
    harmless = earlier | alike
    by: Bits = 0
    coverage = cover(book.stack, box, harmless)
    if isinstance(coverage, Covered):
        by |= coverage.by & alike
    elif book.default_outcome != outcome:
        return None
    for at in ones(staying & ~alike):
        part = meet(box, book.stack.boxes[at])
        if part is None:
            continue
        between = cover(book.stack, part, harmless & ((1 << at) - 1))
        if not isinstance(between, Covered):
            return None
        by |= between.by & alike
    return _Substitutes(by, not isinstance(coverage, Covered))
