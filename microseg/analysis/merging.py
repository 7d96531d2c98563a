"""The rules of two policies in one order that keeps the order of each, cut into boxes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from microseg.analysis import alignment, regions
from microseg.analysis.book import Outcome
from microseg.analysis.classes import Bits, bits_of
from microseg.analysis.regions import Region
from microseg.analysis.space import Space
from microseg.analysis.stack import Stack
from microseg.policy import addresses, services

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from microseg.analysis.alignment import Step
    from microseg.policy.addresses import AddressSet
    from microseg.policy.rules import OrderedRule, Ruleset


@dataclass(frozen=True, slots=True)
class Leg:
    """One direction of a rule."""

    region: Region
    outcome: Outcome
    rule: OrderedRule


class Places(NamedTuple):
    """A leg in one policy and the same leg in the other; None in a policy that hasn't got it."""

    before: Leg | None
    after: Leg | None

    @property
    def region(self) -> Region:
        """What the leg matches."""
        leg = self.before or self.after
        assert leg is not None, "a leg is in one policy at least"
        return leg.region


class Side:
    """One of the two policies.

    Attributes:
        boxes: which boxes of the stack are its own.
        default: the decider of what no rule matches.
        default_outcome: what it makes of it.

    """

    def __init__(self, ruleset: Ruleset, legs: Sequence[Leg | None]) -> None:
        numbers: defaultdict[Outcome, list[int]] = defaultdict(list)
        for at, leg in enumerate(legs):
            if leg:
                numbers[leg.outcome].append(at)
        self._legs = legs
        self._of_outcome = {outcome: bits_of(found, len(legs)) for outcome, found in numbers.items()}
        self.boxes = bits_of((at for found in numbers.values() for at in found), len(legs))
        self.default = ruleset.default
        self.default_outcome = Outcome.of(ruleset.default, ruleset)

    def leg(self, at: int) -> Leg:
        """Return the leg of one of the side's boxes."""
        leg = self._legs[at]
        assert leg is not None, "asked for a box of the other side"
        return leg

    def with_outcome(self, outcome: Outcome) -> Bits:
        """Return the side's boxes with this outcome."""
        return self._of_outcome.get(outcome, 0)


class Merged:
    """Two policies over one stack of boxes.

    Attributes:
        stack: the boxes of both; what both have stands there once.
        sides: the policy before, and after.

    """

    def __init__(self, before: Ruleset, after: Ruleset) -> None:
        legs = _legs(before), _legs(after)
        self._places = [
            Places(
                legs[0][step.before] if step.before is not None else None,
                legs[1][step.after] if step.after is not None else None,
            )
            for step in _aligned(*legs)
        ]
        same_default = Outcome.of(before.default, before) == Outcome.of(after.default, after)
        places = _near(self._places) if same_default else self._places
        space = Space(place.region for place in places)
        boxed = [(box, place) for place in places for box in space.boxes(place.region)]
        self.stack = Stack(space, [box for box, _ in boxed])
        self.sides = (
            Side(before, [place.before for _, place in boxed]),
            Side(after, [place.after for _, place in boxed]),
        )


def _legs(ruleset: Ruleset) -> list[Leg]:
    return [
        Leg(region, Outcome.of(ordered, ruleset), ordered)
        for ordered in ruleset.ordered()
        for region in regions.of_rule(ordered.rule)
    ]


def _aligned(before: Sequence[Leg], after: Sequence[Leg]) -> list[Step]:
    """Return the legs of both in one order; those with the same region and outcome are the same."""
    numbers: dict[object, int] = {}
    by_identity: dict[int, int] = {}

    def number(value: object) -> int:
        """Return the same number for equal values, looking into each object only once."""
        if id(value) not in by_identity:
            by_identity[id(value)] = numbers.setdefault(value, len(numbers))
        return by_identity[id(value)]

    def key(leg: Leg) -> tuple[int, int, int, Outcome]:
        region = leg.region
        return number(region.src), number(region.dst), number(region.service), leg.outcome

    return alignment.merge([key(leg) for leg in before], [key(leg) for leg in after])


def _near(places: Sequence[Places]) -> list[Places]:
    """Return the legs that are in one policy only, and those that may share a packet with one of these."""
    lonely = [place.region for place in places if None in place]
    around = Region(
        _all(region.src for region in lonely),
        _all(region.dst for region in lonely),
        services.union({id(region.service): region.service for region in lonely}.values()),
    )
    return [place for place in places if None in place or _meet(place.region, around)]


def _all(sets: Iterable[AddressSet]) -> AddressSet:
    return addresses.union({id(each): each for each in sets}.values())


def _meet(left: Region, right: Region) -> bool:
    return (
        left.src.overlaps(right.src) and left.dst.overlaps(right.dst) and left.service.overlaps(right.service)
    )
