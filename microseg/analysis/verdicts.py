"""Which verdicts the packets of a box get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.analysis.classes import ones
from microseg.analysis.coverage import Escapes, cover, first_escape
from microseg.analysis.space import meet

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from microseg.analysis.book import Book
    from microseg.analysis.classes import Bits
    from microseg.analysis.space import Box
    from microseg.policy.rules import Verdict


def reaches(book: Book, box: Box, verdicts: Collection[Verdict]) -> bool:
    """Say whether some packet of a box gets one of the verdicts."""
    return any(
        isinstance(cover(book.stack, part, others), Escapes) for part, others in _ways(book, box, verdicts)
    )


def first(book: Book, box: Box, verdicts: Collection[Verdict]) -> Box | None:
    """Return the first cell of a box (in the order of the classes) that gets one of the verdicts, or None."""
    best: Box | None = None
    for part, others in _ways(book, box, verdicts):
        if best and part[0] & -part[0] > best[0]:
            continue  # it starts behind what has been found
        cell = first_escape(book.stack, part, others)
        if cell and (best is None or cell < best):
            best = cell
    return best


def _ways(book: Book, box: Box, verdicts: Collection[Verdict]) -> Iterator[tuple[Box, Bits]]:
    """Yield the ways to get one of the verdicts: to be in a box, and in none of these others.

    The others are those in front with other verdicts. One in front with a wanted verdict needn't be avoided:
    the packet then gets a wanted verdict all the same.
    """
    overlapping = book.stack.overlapping(box)
    wanted = overlapping & book.with_verdict(*verdicts)
    others = overlapping & ~wanted
    if book.default_outcome.verdict in verdicts:
        yield box, others
    for at in ones(wanted):
        part = meet(box, book.stack.boxes[at])
        if part:
            yield part, others & ((1 << at) - 1)
