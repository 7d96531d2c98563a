"""Policy tests: each expectation is proved for every packet of its product, or refuted by one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.analysis import regions
from microseg.analysis.book import Book
from microseg.analysis.classes import Bits, ones
from microseg.analysis.coverage import Escapes, cover, first_escape
from microseg.analysis.space import lowest_cell, meet
from microseg.diagnostics import Code, Diagnostic, Label
from microseg.policy.rules import Action, OrderedRule, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

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
                continue
            verdicts = SATISFYING[expectation.action]
            if expectation.some:
                if not any(_reaches(book, box, verdicts) for box in boxes):
                    yield _failure(book, test, expectation, boxes[0])
                continue
            cells = [cell for box in boxes if (cell := _smallest_violation(book, box, verdicts))]
            if cells:
                yield _failure(book, test, expectation, min(cells))


def _failure(book: Book, test: PolicyTest, expectation: Expectation, box: Box) -> Failure:
    cell = lowest_cell(box)
    decider = book.decider(cell)
    verdict = decider.verdict if isinstance(decider, OrderedRule) else book.default_outcome.verdict
    return Failure(test, expectation, book.space.packet(cell), decider, verdict)


def _reaches(book: Book, box: Box, verdicts: tuple[Verdict, ...]) -> bool:
    """Say whether some packet of a box gets one of the verdicts."""
    overlapping = book.stack.overlapping(box)
    wanted = book.with_verdict(*verdicts)
    others = overlapping & ~wanted
    if book.default_outcome.verdict in verdicts and isinstance(cover(book.stack, box, others), Escapes):
        return True
    return any(
        part and isinstance(cover(book.stack, part, others & _before(at)), Escapes)
        for at in ones(overlapping & wanted)
        for part in [meet(box, book.stack.boxes[at])]
    )


def _smallest_violation(book: Book, box: Box, verdicts: tuple[Verdict, ...]) -> Box | None:
    """Return the first cell of a box that gets another verdict, or None."""
    overlapping = book.stack.overlapping(box)
    allowed = overlapping & book.with_verdict(*verdicts)
    found: list[Box] = []
    if book.default_outcome.verdict not in verdicts:
        cell = first_escape(book.stack, box, allowed)
        # All before it is allowed, so it can't be undercut by what the others yield behind it.
        found += [cell] if cell else []
    for at in ones(overlapping & ~allowed):
        part = meet(box, book.stack.boxes[at])
        if part and not (found and part[0] & -part[0] > min(found)[0]):
            cell = first_escape(book.stack, part, allowed & _before(at))
            found += [cell] if cell else []
    return min(found, default=None)


def _before(at: int) -> Bits:
    return (1 << at) - 1


def diagnostic(failure: Failure) -> Diagnostic:
    """Return the error for a failure."""
    test, expectation = failure.test, failure.expectation
    word = expectation.action.value
    if failure.packet is None or failure.verdict is None:
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
        *_cause(failure.decider),
        help="change the rule if the test is right, or the test if the rule is",
    )


def _cause(decider: Decider | None) -> list[Label]:
    match decider:
        case OrderedRule(rule=rule):
            return [Label(rule.span, "this rule decides the packet")]
        case None:
            return []
        case _:
            return [Label(decider.span, "no rule matches, the default decides")] if decider.span else []
