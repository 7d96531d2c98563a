"""What happens to the packets of a product, and why: which rules decide which part of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.analysis.book import Book, Outcome
from microseg.analysis.classes import Bits, ones
from microseg.analysis.coverage import Escapes, cover
from microseg.analysis.space import meet
from microseg.analysis.wording import Cut, Part, Wording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.analysis.regions import Region
    from microseg.analysis.space import Box
    from microseg.policy.rules import Decider, OrderedRule, Ruleset


@dataclass(frozen=True, slots=True)
class Answer:
    """What one rule, or the default, decides of the packets that were asked about.

    Attributes:
        decider: the rule or the default.
        outcome: what it makes of them.
        parts: which packets.
        otherwise: rules further down that match some of these packets and would decide them otherwise.

    """

    decider: Decider
    outcome: Outcome
    parts: tuple[Part, ...]
    otherwise: tuple[OrderedRule, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """The names of the sets and services of rules that all packets of a region are in, sorted."""

    src: tuple[str, ...]
    dst: tuple[str, ...]
    service: tuple[str, ...]


def within(ruleset: Ruleset, region: Region) -> Within:
    """Return what a region lies in."""
    rules = [ordered.rule for ordered in ruleset.ordered()]
    sets = {id(each): each for rule in rules for each in (rule.src, rule.dst)}.values()
    services = {id(rule.service): rule.service for rule in rules}.values()
    return Within(
        tuple(sorted({each.name for each in sets if region.src <= each.addresses})),
        tuple(sorted({each.name for each in sets if region.dst <= each.addresses})),
        tuple(sorted({each.name for each in services if region.service <= each.services})),
    )


def query(ruleset: Ruleset, region: Region) -> list[Answer]:
    """Return what decides the packets of a region: in the order of evaluation, the default last.

    The parts of all answers together are the region; no packet is in two answers.
    """
    book = Book(ruleset, [region])
    wording = Wording(book.stack, ruleset)
    cuts: dict[int | None, list[Cut]] = {}
    for box in book.space.boxes(region):
        for number, cut in _cuts(book, box):
            cuts.setdefault(number, []).append(cut)
    numbers = sorted(number for number in cuts if number is not None)
    answers = [
        Answer(
            book.rules[number],
            book.outcomes[number],
            tuple(wording.describe(cuts[number])),
            tuple(_otherwise(book, number, cuts[number])),
        )
        for number in numbers
    ]
    if None in cuts:
        parts = tuple(wording.describe(cuts[None]))
        answers.append(Answer(ruleset.default, book.default_outcome, parts, ()))
    return answers


def _cuts(book: Book, box: Box) -> Iterator[tuple[int | None, Cut]]:
    """Cut a box by what decides its packets: a rule's number, or None for the default."""
    overlapping = book.stack.overlapping(box)
    for at in ones(overlapping):
        part = meet(box, book.stack.boxes[at])
        cut = _cut(book, part, overlapping & ((1 << at) - 1)) if part else None
        if cut:
            yield book.owner[at], cut
    rest = _cut(book, box, overlapping)
    if rest:
        yield None, rest


def _cut(book: Book, box: Box, without: Bits) -> Cut | None:
    without &= book.stack.overlapping(box)
    coverage = cover(book.stack, box, without)
    return Cut(box, without, coverage.cell) if isinstance(coverage, Escapes) else None


def _otherwise(book: Book, number: int, cuts: list[Cut]) -> Iterator[OrderedRule]:
    """Yield the later rules that match packets of the cuts and have another verdict than the rule."""
    verdict = book.outcomes[number].verdict
    seen: set[int] = set()
    for cut in cuts:
        later = book.stack.overlapping(cut.box) & ~book.before(number) & ~book.with_verdict(verdict)
        for at in ones(later):
            part = meet(cut.box, book.stack.boxes[at])
            if book.owner[at] not in seen and part and _cut(book, part, cut.without):
                seen.add(book.owner[at])
    yield from (book.rules[each] for each in sorted(seen))
