"""Protected traffic: whether all of it gets through to a host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.analysis import verdicts
from microseg.analysis.book import Book
from microseg.analysis.classes import Bits, ones
from microseg.analysis.regions import Region
from microseg.analysis.space import with_side
from microseg.policy.addresses import ANY_ADDRESS
from microseg.policy.rules import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microseg.analysis.space import Box
    from microseg.policy.addresses import AddressSet
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Decider, Protect, Ruleset

REFUSING = tuple(verdict for verdict in Verdict if not verdict.passes)
_DESTINATION = 1
"""The axis of a box."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Protected traffic that is refused.

    Attributes:
        protect: which.
        packet: one that is refused, the smallest.
        decider: what refuses it.

    """

    protect: Protect
    packet: Packet
    decider: Decider


def refused(ruleset: Ruleset, hosts: AddressSet) -> list[Cut]:
    """Return the protected traffic of which some packet to some of these addresses is refused."""
    wanted = [Region(protect.src.addresses, hosts, protect.service.services) for protect in ruleset.protects]
    book = Book(ruleset, wanted)
    found: list[Cut] = []
    for protect, region in zip(ruleset.protects, wanted, strict=True):
        boxes = book.space.boxes(region)
        if any(verdicts.reaches(book, box, REFUSING) for box in boxes):
            found.append(_cut(book, protect, boxes))
    return found


def spoken_of(ruleset: Ruleset) -> Iterator[Region]:
    """Yield the regions of all protected traffic; a book to ask `refused_everywhere` of has to know these."""
    for protect in ruleset.protects:
        yield Region(protect.src.addresses, ANY_ADDRESS, protect.service.services)


def refused_everywhere(book: Book) -> list[Cut]:
    """Return the protected traffic that doesn't all get through to any address, whatever host it is for."""
    found: list[Cut] = []
    for protect in book.ruleset.protects:
        region = Region(protect.src.addresses, ANY_ADDRESS, protect.service.services)
        boxes = book.space.boxes(region)
        if boxes and not any(_gets_through_somewhere(book, family) for family in _by_family(boxes)):
            found.append(_cut(book, protect, boxes))
    return found


def _by_family(boxes: list[Box]) -> list[list[Box]]:
    """Put boxes together that have the same destinations, as those of one family here have."""
    found: dict[Bits, list[Box]] = {}
    for box in boxes:
        found.setdefault(box[_DESTINATION], []).append(box)
    return list(found.values())


def _gets_through_somewhere(book: Book, boxes: list[Box]) -> bool:
    """Say whether there is a class of destinations to which no packet of the boxes is refused."""
    overlapping = [book.stack.overlapping(box) for box in boxes]
    tried: set[tuple[Bits, ...]] = set()
    for number in ones(boxes[0][_DESTINATION]):
        deciding = tuple(each & book.stack.at(_DESTINATION, number) for each in overlapping)
        if deciding in tried:
            continue
        tried.add(deciding)
        parts = [with_side(box, _DESTINATION, 1 << number) for box in boxes]
        if not any(verdicts.reaches(book, part, REFUSING) for part in parts):
            return True
    return False


def _cut(book: Book, protect: Protect, boxes: Sequence[Box]) -> Cut:
    """Return the first of the boxes' packets that is refused, of which there is one."""
    cells = (verdicts.first(book, box, REFUSING) for box in boxes)
    cell = min(cell for cell in cells if cell)
    return Cut(protect, book.space.packet(cell), book.decider(cell))
