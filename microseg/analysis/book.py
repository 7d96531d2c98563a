"""A ruleset as a stack of boxes: which rule each box belongs to, and what it does with a packet."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from microseg.analysis import regions
from microseg.analysis.classes import Bits, bits_of, lowest, ones, union
from microseg.analysis.space import Space
from microseg.analysis.stack import Stack
from microseg.policy.rules import OrderedRule, Verdict

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator
    from datetime import date

    from microseg.analysis.regions import Region
    from microseg.analysis.space import Box
    from microseg.policy.rules import Decider, Ruleset

    Key = TypeVar("Key", bound=Hashable)


class Outcome(NamedTuple):
    """All that a rule makes of a packet."""

    verdict: Verdict
    log: bool

    @classmethod
    def of(cls, decider: Decider, ruleset: Ruleset) -> Outcome:
        """Return what a packet gets that this rule, or the default, decides."""
        if isinstance(decider, OrderedRule):
            return cls(decider.verdict, decider.rule.log)
        return cls(ruleset.default_verdict(), decider.log)


class Runs:
    """Sets of neighbours, one behind the other: each is made when it is asked for.

    A large policy has as many of these sets as each of them is wide.
    """

    def __init__(self, starts: list[int]) -> None:
        """Take where each set starts, and where the last one ends."""
        self.starts = starts

    def __iter__(self) -> Iterator[Bits]:
        return (self[number] for number in range(len(self)))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, number: int) -> Bits:
        start, end = self.starts[number], self.starts[number + 1]
        return ((1 << (end - start)) - 1) << start

    def members(self, number: int) -> range:
        """Return the members of one of the sets."""
        return range(self.starts[number], self.starts[number + 1])


class Book:
    """A ruleset's rules in the order of evaluation, cut into boxes.

    Attributes:
        ruleset: what it is about.
        rules: in the order of evaluation; a rule's number is its place here.
        outcomes: of each rule.
        default_outcome: of packets that no rule matches.
        stack: the boxes of all rules; those of one rule stand together.
        owner: the number of the rule each box belongs to.
        boxes: of each rule, as bits of the stack.

    """

    def __init__(self, ruleset: Ruleset, others: Iterable[Region] = ()) -> None:
        """Cut up a ruleset; `others` are further regions that will be asked about."""
        self.ruleset = ruleset
        self.rules = ruleset.ordered()
        self.outcomes = [Outcome.of(ordered, ruleset) for ordered in self.rules]
        self.default_outcome = Outcome.of(ruleset.default, ruleset)
        matched = [regions.of_rule(ordered.rule) for ordered in self.rules]
        space = Space([*(region for found in matched for region in found), *others])
        boxes: list[Box] = []
        self.owner: list[int] = []
        starts = [0]
        for number, found in enumerate(matched):
            mine = [box for region in found for box in space.boxes(region)]
            boxes += mine
            starts.append(len(boxes))
            self.owner += [number] * len(mine)
        self.boxes = Runs(starts)
        self.stack = Stack(space, boxes)
        self._of_outcome = self._by(self.outcomes)
        self._of_last_day = self._by([ordered.rule.expires for ordered in self.rules])
        self._lasting: dict[date | None, Bits] = {}

    @property
    def space(self) -> Space:
        """The space of the boxes."""
        return self.stack.space

    def boxes_of(self, number: int) -> Iterator[Box]:
        """Yield the boxes of a rule."""
        return (self.stack.boxes[at] for at in self.boxes.members(number))

    def before(self, number: int) -> Bits:
        """Return the boxes of all rules in front of this one."""
        return (1 << self.boxes.starts[number]) - 1

    def with_outcome(self, outcome: Outcome) -> Bits:
        """Return the boxes of all rules with this outcome."""
        return self._of_outcome.get(outcome, 0)

    def with_verdict(self, *verdicts: Verdict) -> Bits:
        """Return the boxes of all rules with one of these verdicts, logged or not."""
        return union(boxes for outcome, boxes in self._of_outcome.items() if outcome.verdict in verdicts)

    def rules_of(self, boxes: Bits) -> list[int]:
        """Return the numbers of the rules some boxes belong to, ascending."""
        return list(dict.fromkeys(self.owner[at] for at in ones(boxes)))

    def decider(self, cell: Box, among: Bits | None = None) -> Decider:
        """Return what decides the packets of a cell, all rules or only some boxes considered."""
        holding = self.stack.holding(cell) & (self.stack.all if among is None else among)
        return self.rules[self.owner[lowest(holding)]] if holding else self.ruleset.default

    def lasting(self, day: date | None) -> Bits:
        """Return the boxes of the rules that are still valid on a day; None is the end of all days."""
        if day not in self._lasting:
            self._lasting[day] = union(
                boxes
                for last, boxes in self._of_last_day.items()
                if last is None or (day is not None and last >= day)
            )
        return self._lasting[day]

    def last_days(self, number: int, among: Bits) -> list[date | None]:
        """Return the days to judge a rule on: its own last one, and those of some boxes that it outlives.

        On every other day it stands among the same of these boxes as on one of these days.
        """
        mine = self.rules[number].rule.expires
        return [
            mine,
            *sorted(
                last
                for last, boxes in self._of_last_day.items()
                if boxes & among and last is not None and (mine is None or last < mine)
            ),
        ]

    def _by(self, keys: Iterable[Key]) -> dict[Key, Bits]:
        """Return the boxes of the rules with each key; keys are those of the rules in order."""
        found: defaultdict[Key, list[int]] = defaultdict(list)
        for number, key in enumerate(keys):
            found[key] += self.boxes.members(number)
        return {key: bits_of(numbers, len(self.owner)) for key, numbers in found.items()}
