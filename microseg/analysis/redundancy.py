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


def find(book: Book, going: Iterable[int], wanted: Wanted) -> list[Redundant]:
    """Return rules that can be left out, whichever of the others that are found or going are left out too.

    Two rules can each be redundant because of the other; then the first is the one to go.
    """
    return _one_after_another(book, ([number] for number in range(len(book.rules))), set(going), wanted)


def find_policies(book: Book, going: Iterable[int], wanted: Wanted) -> list[Redundant]:
    """Return policies that can be left out, whichever of the others found or going are left out too."""
    by_policy = groupby(range(len(book.rules)), key=lambda number: book.rules[number].policy.name)
    return _one_after_another(book, (list(numbers) for _, numbers in by_policy), set(going), wanted)


def _one_after_another(
    book: Book, candidates: Iterable[Sequence[int]], going: set[int], wanted: Wanted
) -> list[Redundant]:
    found: list[Redundant] = []
    boxes = union(book.boxes[number] for number in going)
    for candidate in candidates:
        rules = [number for number in candidate if number not in going and book.boxes[number]]
        leaving = union(book.boxes[number] for number in candidate)
        redundant = _redundant(book, rules, leaving, boxes) if rules else None
        if redundant and wanted(redundant):
            found.append(redundant)
            going.update(rules)
            boxes |= leaving
    return found


def _redundant(book: Book, rules: Sequence[int], leaving: Bits, going: Bits) -> Redundant | None:
    """Return the rules as redundant, if they are whichever of the going boxes go.

    Args:
        book: what they are rules of.
        rules: their numbers.
        leaving: the boxes that go with them, their own among these.
        going: boxes that may stay or go: neither is relied on.

    """
    instead: Bits = 0
    default = False
    for number in rules:
        for box, present in _cases(book, number):
            found = _substitutes(book, number, box, present, leaving=leaving, going=going)
            if found is None:
                return None
            instead |= found.by
            default |= found.default
    return Redundant(tuple(rules), tuple(book.rules_of(instead)), default)


def _cases(book: Book, number: int) -> Iterator[tuple[Box, Bits]]:
    """Yield each box of a rule with the boxes that share a packet with it on each day that matters."""
    for box in book.boxes_of(number):
        overlapping = book.stack.overlapping(box)
        for day in book.last_days(number, overlapping):
            yield box, overlapping & book.lasting(day)


@dataclass(frozen=True, slots=True)
class _Substitutes:
    by: Bits
    default: bool


def _substitutes(
    book: Book, number: int, box: Box, present: Bits, *, leaving: Bits, going: Bits
) -> _Substitutes | None:
    """Return what would decide the packets of a rule's box in its place, if all that would decides alike.

    A packet that reaches the rule must meet, of the later boxes, one with the same outcome that surely stays
    before it meets one with another. What an earlier box decides doesn't reach the rule: if that box leaves
    as well, its packets are looked at on its own account.
    """
    outcome = book.outcomes[number]
    earlier = present & book.before(number)
    later = present & ~earlier & ~leaving
    alike = later & book.with_outcome(outcome)
    others = later & ~alike
    alike &= ~going
    harmless = earlier & ~going | alike
    by: Bits = 0
    coverage = cover(book.stack, box, harmless)
    if isinstance(coverage, Covered):
        by |= coverage.by & alike
    elif book.default_outcome != outcome:
        return None
    for at in ones(others):
        part = meet(box, book.stack.boxes[at])
        if part is None:
            continue
        between = cover(book.stack, part, harmless & ((1 << at) - 1))
        if not isinstance(between, Covered):
            return None
        by |= between.by & alike
    return _Substitutes(by, not isinstance(coverage, Covered))
