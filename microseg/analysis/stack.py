"""Boxes in order, of which the first that holds a packet decides; and which of them share a packet.

Sets of boxes are whole numbers, bit n for the n-th box, as with classes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from microseg.analysis.classes import Bits, bits_of, lowest, ones
from microseg.analysis.space import AXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.analysis.space import Box, Space


class Stack:
    """Boxes of one space in order.

    Attributes:
        boxes: the first on top.
        all: all of them, as bits.

    """

    def __init__(self, space: Space, boxes: Sequence[Box]) -> None:
        self.space = space
        self.boxes = boxes
        self.all: Bits = (1 << len(boxes)) - 1
        self._sides = [
            _Side([box[axis] for box in boxes], width) for axis, width in zip(AXES, space.widths, strict=True)
        ]

    def at(self, axis: int, number: int) -> Bits:
        """Return the boxes that hold a class of an axis."""
        return self._sides[axis].at(number)

    def loneliest(self, axis: int, side: Bits) -> int:
        """Return the class of a side that the fewest boxes hold."""
        return self._sides[axis].loneliest(side)

    def overlapping(self, box: Box) -> Bits:
        """Return the boxes that share a packet with a box."""
        found = self.all
        for axis in AXES:
            found &= self._sides[axis].meeting(box[axis])
            if not found:
                break
        return found

    def holding(self, cell: Box) -> Bits:
        """Return the boxes that hold a box of one class a side."""
        found = self.all
        for axis in AXES:
            found &= self._sides[axis].at(lowest(cell[axis]))
        return found


class _Side:
    """One axis of the boxes of a stack."""

    def __init__(self, sides: Sequence[Bits], width: int) -> None:
        numbers: defaultdict[Bits, list[int]] = defaultdict(list)
        for at, bits in enumerate(sides):
            numbers[bits].append(at)
        self._boxes = {bits: bits_of(found, len(sides)) for bits, found in numbers.items()}
        self._wide: list[tuple[Bits, Bits]] = []
        self._narrow: defaultdict[int, list[Bits]] = defaultdict(list)
        for bits, boxes in self._boxes.items():
            if bits.bit_count() * 2 > width:
                self._wide.append((bits, boxes))
                continue
            for number in ones(bits):
                self._narrow[number].append(boxes)
        self._at: dict[int, Bits] = {}
        self._meeting: dict[Bits, Bits] = {}
        self._loneliest: dict[Bits, int] = {}

    def at(self, number: int) -> Bits:
        """Return the boxes with this class on their side."""
        found = self._at.get(number)
        if found is None:
            found = 0
            for boxes in self._narrow.get(number, ()):
                found |= boxes
            for bits, boxes in self._wide:
                if bits >> number & 1:
                    found |= boxes
            self._at[number] = found
        return found

    def meeting(self, side: Bits) -> Bits:
        """Return the boxes with any of these classes on their side."""
        found = self._meeting.get(side)
        if found is None:
            found = 0
            if side.bit_count() < len(self._boxes):
                for number in ones(side):
                    found |= self.at(number)
            else:
                for bits, boxes in self._boxes.items():
                    if bits & side:
                        found |= boxes
            self._meeting[side] = found
        return found

    def loneliest(self, side: Bits) -> int:
        """Return the class of these that the fewest boxes have on their side."""
        found = self._loneliest.get(side)
        if found is None:
            found = min(ones(side), key=lambda number: self.at(number).bit_count())
            self._loneliest[side] = found
        return found
