"""Packets to try a policy's tests with, where proofs aren't enough: on the compiled image, in the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.analysis import regions
from microseg.analysis.book import Book
from microseg.analysis.classes import ones
from microseg.analysis.coverage import Escapes, cover
from microseg.analysis.proofs import spoken_of
from microseg.analysis.space import meet
from microseg.policy.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.analysis.regions import Region
    from microseg.analysis.space import Box
    from microseg.policy.evaluate import Decision
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Expectation, PolicyTest, Ruleset


@dataclass(frozen=True, slots=True)
class Sample:
    """A packet that an expectation of a test speaks of, and what the policy decides about it."""

    test: PolicyTest
    expectation: Expectation
    packet: Packet
    decision: Decision


def of_tests(ruleset: Ruleset) -> Iterator[Sample]:
    """Yield packets of every expectation: of each rule that decides some of them, and of the default.

    They lie on both ends of what is alike, where a prefix or a range too short or too long would show.
    """
    if not ruleset.tests:
        return
    book = Book(ruleset, spoken_of(ruleset))
    for test in ruleset.tests:
        for expectation in test.expectations:
            cells = _cells(book, regions.of_expectation(expectation))
            packets = dict.fromkeys(packet for cell in cells for packet in _of_cell(book, cell))
            yield from (Sample(test, expectation, packet, evaluate(ruleset, packet)) for packet in packets)


def _cells(book: Book, region: Region) -> Iterator[Box]:
    """Yield a cell of the region for each box of the stack that decides some of it, and for the default."""
    for box in book.space.boxes(region):
        overlapping = book.stack.overlapping(box)
        ways = [(book.stack.boxes[at], overlapping & ((1 << at) - 1)) for at in ones(overlapping)]
        for decider, before in (*ways, (box, overlapping)):
            part = meet(box, decider)
            coverage = cover(book.stack, part, before) if part else None
            if isinstance(coverage, Escapes):
                yield coverage.cell


def _of_cell(book: Book, cell: Box) -> Iterator[Packet]:
    """Yield the most readable packet of a cell, its first and its last."""
    yield book.space.packet(cell)
    yield from book.space.ends(cell)
