"""Do some boxes cover another? If they don't, by which packet; if they do, which of them are needed.

The search goes axis by axis and class by class. What makes it quick: a class that is covered by some boxes is
covered for the same reason wherever all these boxes reach, so one proof disposes of many classes at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from microseg.analysis.classes import Bits, lowest, ones, union
from microseg.analysis.space import AXES, Box, lowest_cell, with_side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microseg.analysis.stack import Stack


@dataclass(frozen=True, slots=True)
class Covered:
    """Every packet of the box is in one of these boxes of the stack."""

    by: Bits


@dataclass(frozen=True, slots=True)
class Escapes:
    """The packets of this cell (a box of one class a side) are in none of the boxes."""

    cell: Box


Coverage: TypeAlias = Covered | Escapes


def cover(stack: Stack, box: Box, others: Bits) -> Coverage:
    """Decide whether a box lies within the union of some boxes of a stack."""
    return _try_lonely_cell(stack, box, others) or _search(stack, box, others, 0)


def first_escape(stack: Stack, box: Box, others: Bits) -> Box | None:
    """Return the first cell of a box that some boxes of a stack don't hold, or None.

    First by source, then by destination, target and source port, in the order of their classes.
    """
    coverage = _search(stack, box, others, 0, in_order=True)
    return coverage.cell if isinstance(coverage, Escapes) else None


def needed(stack: Stack, boxes: Sequence[Box], groups: Mapping[int, Bits]) -> list[int]:
    """Return groups of boxes of a stack that still cover all the given boxes, and no fewer of them would.

    Groups are left out one by one, the last first, as long as the rest covers.
    """
    kept, tried = dict(groups), list(groups)
    while tried:
        key = tried.pop()
        by = _cover_all(stack, boxes, union(bits for other, bits in kept.items() if other != key))
        if by is not None:
            kept = {other: bits for other, bits in kept.items() if bits & by}
            tried = [other for other in tried if other in kept]
    return list(kept)


def _cover_all(stack: Stack, boxes: Sequence[Box], others: Bits) -> Bits | None:
    """Return boxes that together cover all the given ones, or None if the others don't."""
    by: Bits = 0
    for box in boxes:
        coverage = cover(stack, box, others)
        if isinstance(coverage, Escapes):
            return None
        by |= coverage.by
    return by


def _try_lonely_cell(stack: Stack, box: Box, others: Bits) -> Escapes | None:
    """Look where the fewest boxes are: there most boxes that aren't covered show it at once."""
    cell = box
    for axis in AXES:
        number = stack.loneliest(axis, box[axis])
        cell = with_side(cell, axis, 1 << number)
        others &= stack.at(axis, number)
        if not others:
            return Escapes(lowest_cell(cell))
    return None


def _search(stack: Stack, box: Box, others: Bits, axis: int, *, in_order: bool = False) -> Coverage:
    """Decide for a box that has one class a side on the axes before this one, held by all the others."""
    if not others:
        return Escapes(lowest_cell(box))
    for at in ones(_at_the_ends(stack, box, others, axis)):
        if _within(box, stack.boxes[at], axis):
            return Covered(1 << at)
    missing = box[axis] & ~union(stack.boxes[at][axis] for at in ones(others))
    if missing and not in_order:
        return Escapes(lowest_cell(with_side(box, axis, missing)))
    remaining, by = box[axis], 0
    while remaining:
        number = lowest(remaining)
        part = with_side(box, axis, 1 << number)
        coverage = _search(stack, part, others & stack.at(axis, number), axis + 1, in_order=in_order)
        if isinstance(coverage, Escapes):
            return coverage
        by |= coverage.by
        remaining &= ~_shared_side(stack, coverage.by, axis)
    return Covered(by)


def _at_the_ends(stack: Stack, box: Box, others: Bits, axis: int) -> Bits:
    """Return the boxes that hold at least the first and the last class of each side from this axis on."""
    for each in range(axis, len(box)):
        others &= stack.at(each, lowest(box[each])) & stack.at(each, box[each].bit_length() - 1)
    return others


def _within(box: Box, other: Box, axis: int) -> bool:
    """Say whether the other box has all of this one's classes from this axis on."""
    return all(not mine & ~theirs for mine, theirs in zip(box[axis:], other[axis:], strict=True))


def _shared_side(stack: Stack, boxes: Bits, axis: int) -> Bits:
    """Return the classes that all of some boxes (at least one) have on an axis."""
    shared = -1
    for at in ones(boxes):
        shared &= stack.boxes[at][axis]
    return shared
