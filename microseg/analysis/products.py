"""Sets of packets as products: what a box leaves without others, and the fewest boxes that say the same."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from microseg.analysis.classes import union
from microseg.analysis.space import AXES, meet, with_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from microseg.analysis.classes import Bits
    from microseg.analysis.space import Box, Space

_ORDERS = ((0, 1, 2, 3), (1, 0, 2, 3), (2, 3, 0, 1), (2, 3, 1, 0))
"""Orders in which the sides of a box are tried to be widened."""

_PATIENCE = 4096
"""Into how many pieces a box may be cut to see that others cover it."""


def volume(box: Box) -> int:
    """Return how many cells a box has."""
    return prod(side.bit_count() for side in box)


def hull(boxes: Sequence[Box]) -> Box:
    """Return the smallest box around some of one family."""
    src, dst, target, source_port = (union(box[axis] for box in boxes) for axis in AXES)
    return src, dst, target, source_port


def minus(box: Box, other: Box) -> Iterator[Box]:
    """Yield disjoint boxes, together what one box has and the other hasn't."""
    if meet(box, other) is None:
        yield box
        return
    rest = box
    for axis in AXES:
        outside = rest[axis] & ~other[axis]
        if outside:
            yield with_side(rest, axis, outside)
            rest = with_side(rest, axis, rest[axis] & other[axis])


def remainder(box: Box, others: Iterable[Box], limit: int) -> list[Box] | None:
    """Return disjoint boxes, together what a box has and others haven't; None if it takes more than limit."""
    shared = [part for other in others if (part := meet(box, other))]
    pieces = [box]
    for part in sorted(shared, key=volume, reverse=True):
        pieces = [rest for piece in pieces for rest in minus(piece, part)]
        if len(pieces) > limit:
            return None
    return pieces


def fewest(space: Space, pieces: Sequence[Box]) -> list[Box]:
    """Return few boxes that together are the same packets as disjoint ones; they may overlap.

    Each is as wide as it can be and none is covered by the rest. (The fewest of all would take long to find.)
    """
    chosen: list[Box] = []
    uncovered = list(pieces)
    while uncovered:
        seed = max(uncovered, key=volume)
        wide = [_widened(space, seed, pieces, order) for order in _ORDERS] if len(pieces) > 1 else [seed]
        best = max(wide, key=lambda box: sum(volume(part) for each in uncovered if (part := meet(box, each))))
        chosen.append(best)
        uncovered = [rest for piece in uncovered for rest in minus(piece, best)]
    return _irredundant(chosen)


def _irredundant(boxes: Sequence[Box]) -> list[Box]:
    """Leave out boxes that the rest covers, small ones first."""
    kept = list(boxes)
    for box in sorted(boxes, key=volume):
        rest = [other for other in kept if other is not box]
        if remainder(box, rest, limit=_PATIENCE) == []:
            kept = rest
    return kept


def _widened(space: Space, box: Box, pieces: Sequence[Box], order: Sequence[int]) -> Box:
    """Return the box with one side after the other as wide as it can be within the pieces."""
    for axis in order:
        side = _widest(box, pieces, axis)
        box = with_side(box, axis, side & space.targets_from(box[3]) if axis == 2 else side)
    return box


def _widest(box: Box, pieces: Sequence[Box], axis: int) -> Bits:
    """Return all classes of an axis that the box can have there and still lie within the disjoint pieces."""
    others = [each for each in AXES if each != axis]
    full = prod(box[each].bit_count() for each in others)
    found: Bits = 0
    partly: dict[int, Bits] = {}
    for piece in pieces:
        part = prod((box[each] & piece[each]).bit_count() for each in others)
        if part == full:
            found |= piece[axis]
        elif part:
            _add(partly, part, piece[axis])
    return box[axis] | found | partly.get(full, 0)


def _add(totals: dict[int, Bits], amount: int, classes: Bits) -> None:
    """Add an amount to the totals of some classes; each class is in one total, or in none yet."""
    raised: dict[int, Bits] = {amount: classes}
    for total, bits in list(totals.items()):
        both = bits & classes
        if both:
            totals[total] = bits & ~both
            raised[amount] &= ~both
            raised[total + amount] = both
    for total, bits in raised.items():
        if bits:
            totals[total] = totals.get(total, 0) | bits
