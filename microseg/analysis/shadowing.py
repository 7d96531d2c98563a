"""Rules that never decide a packet, because rules in front of them decide all they match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.analysis.coverage import Covered, cover, needed

if TYPE_CHECKING:
    from microseg.analysis.book import Book
    from microseg.analysis.classes import Bits

_MANY = 32
"""Nobody reads a list longer than this, so it isn't worth a proof for each of its rules."""


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A rule that never decides, today or until it expires.

    Attributes:
        rule: its number.
        by: the numbers of the rules that together decide all its packets; unless they are very many, none of
            them can be left out.

    """

    rule: int
    by: tuple[int, ...]


def find(book: Book) -> list[Shadowed]:
    """Return the rules that can match packets and never decide one."""
    found: list[Shadowed] = []
    deciding = book.stack.all
    for number, boxes in enumerate(book.boxes):
        if not boxes:
            continue
        # What expires before the rule does leaves it something to decide.
        earlier = book.before(number) & deciding & book.lasting(book.rules[number].rule.expires)
        by = _covering(book, number, earlier)
        if by is not None:
            found.append(Shadowed(number, tuple(_fewest(book, number, by))))
            deciding &= ~boxes
    return found


def _covering(book: Book, number: int, earlier: Bits) -> Bits | None:
    """Return boxes that together hold all packets of a rule, or None if some packet is in none of them."""
    by = 0
    for box in book.boxes_of(number):
        coverage = cover(book.stack, box, earlier & book.stack.overlapping(box))
        if not isinstance(coverage, Covered):
            return None
        by |= coverage.by
    return by


def _fewest(book: Book, number: int, by: Bits) -> list[int]:
    """Return rules that cover the rule and of which none can be left out, if they aren't very many."""
    groups = {rule: book.boxes[rule] for rule in book.rules_of(by)}
    if len(groups) > _MANY:
        return list(groups)
    return needed(book.stack, list(book.boxes_of(number)), groups)
