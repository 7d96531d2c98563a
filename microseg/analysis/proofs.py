"""Policy tests: each expectation is proved for every packet of its product, or refuted by one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.analysis import regions, verdicts
from microseg.analysis.book import Book, Outcome
from microseg.analysis.labels import cause
from microseg.analysis.space import lowest_cell
from microseg.diagnostics import Code, Diagnostic, Label
from microseg.policy.rules import Action, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microseg.analysis.space import Box
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Decider, Expectation, PolicyTest, Ruleset

SATISFYING = {
    Action.ALLOW: (Verdict.ALLOW, Verdict.AUDIT),
    Action.DENY: (Verdict.DENY,),
    Action.REJECT: (Verdict.REJECT,),
}
"""The verdicts that meet an expectation: what is only audited passes."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An expectation that doesn't hold.

    Attributes:
        test: whose.
        expectation: which.
        packet: the smallest that refutes it: by source, then destination, then service, familiar ones first.
            None when the expectation speaks of no packet at all.
        decider: what decides this packet.
        verdict: what the packet gets.

    """

    test: PolicyTest
    expectation: Expectation
    packet: Packet | None = None
    decider: Decider | None = None
    verdict: Verdict | None = None


def prove(ruleset: Ruleset) -> list[Diagnostic]:
    """Return an error for each expectation of the ruleset's tests that doesn't hold."""
    if not ruleset.tests:
        return []
    return [diagnostic(failure) for failure in failures(Book(ruleset, spoken_of(ruleset)))]


def spoken_of(ruleset: Ruleset) -> Iterator[regions.Region]:
    """Yield the regions of all expectations; a book to prove them by has to know these."""
    for test in ruleset.tests:
        for expectation in test.expectations:
            yield regions.of_expectation(expectation)


def failures(book: Book) -> Iterator[Failure]:
    """Yield the expectations that don't hold."""
    for test in book.ruleset.tests:
        for expectation in test.expectations:
            boxes = book.space.boxes(regions.of_expectation(expectation))
            if not boxes:
                yield Failure(test, expectation)
            elif cell := _refutation(book, expectation, boxes):
                decider = book.decider(cell)
                yield Failure(
                    test,
                    expectation,
                    book.space.packet(cell),
                    decider,
                    Outcome.of(decider, book.ruleset).verdict,
                )


def _refutation(book: Book, expectation: Expectation, boxes: Sequence[Box]) -> Box | None:
    """Return the first cell that refutes an expectation about the packets of boxes, or None."""
    satisfying = SATISFYING[expectation.action]
    if expectation.some:
        holds = any(verdicts.reaches(book, box, satisfying) for box in boxes)
        return None if holds else min(map(lowest_cell, boxes))
    others = [verdict for verdict in Verdict if verdict not in satisfying]
    if not any(verdicts.reaches(book, box, others) for box in boxes):
        return None
    cells = (verdicts.first(book, box, others) for box in boxes)
    return min(cell for cell in cells if cell)


def diagnostic(failure: Failure) -> Diagnostic:
    """Return the error for a failure."""
    test, expectation = failure.test, failure.expectation
    word = expectation.action.value
    if failure.packet is None or failure.decider is None or failure.verdict is None:
        return Diagnostic.of(
            Code.FAILED_TEST,
            expectation.span,
            f'test "{test.name}" fails: its expectation speaks of no packet at all',
            Label(expectation.span, "source and destination share no address family, or a set is empty"),
            help="write sets that have addresses of the same family",
        )
    found = failure.verdict.name.lower()
    wanted = f"expected some {word}, found none" if expectation.some else f"expected {word}, found {found}"
    example = "no packet does; for instance " if expectation.some else ""
    return Diagnostic.of(
        Code.FAILED_TEST,
        expectation.span,
        f'test "{test.name}" fails: {example}{failure.packet} gets {found}',
        Label(expectation.span, wanted),
        *cause(failure.decider),
        help="change the rule if the test is right, or the test if the rule is",
    )
