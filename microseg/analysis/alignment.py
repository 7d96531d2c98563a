"""Which rules of two policies are the same ones, in the same order: the rest is what a change is about."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    Key = TypeVar("Key", bound=Hashable)


class Step(NamedTuple):
    """A place in the merged order: the index in the one sequence, in the other, or in both."""

    before: int | None
    after: int | None


def merge(before: Sequence[Key], after: Sequence[Key]) -> list[Step]:
    """Return an order of both sequences in which each keeps its own.

    Equal elements that come in the same order in both are one step; as many as possible, if no element is
    repeated.
    """
    steps: list[Step] = []
    at_before = at_after = 0
    for left, right in [*_common(before, after), (len(before), len(after))]:
        steps += [Step(index, None) for index in range(at_before, left)]
        steps += [Step(None, index) for index in range(at_after, right)]
        if left < len(before):
            steps.append(Step(left, right))
        at_before, at_after = left + 1, right + 1
    return steps


def _common(before: Sequence[Key], after: Sequence[Key]) -> list[tuple[int, int]]:
    """Return pairs of indices of equal elements, ascending on both sides."""
    places: defaultdict[Key, deque[int]] = defaultdict(deque)
    for index, key in enumerate(after):
        places[key].append(index)
    pairs = [(index, places[key].popleft()) for index, key in enumerate(before) if places.get(key)]
    return _longest_ascending(pairs)


def _longest_ascending(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the most pairs that ascend on the right side; they ascend on the left already."""
    lowest: list[int] = []  # lowest[n]: the lowest right side that can end n + 1 ascending pairs
    ends: list[int] = []  # and the place of that pair
    previous: list[int | None] = []
    for place, (_, right) in enumerate(pairs):
        at = bisect_left(lowest, right)
        previous.append(ends[at - 1] if at else None)
        lowest[at : at + 1] = [right]
        ends[at : at + 1] = [place]
    chain: list[tuple[int, int]] = []
    place_or_none = ends[-1] if ends else None
    while place_or_none is not None:
        chain.append(pairs[place_or_none])
        place_or_none = previous[place_or_none]
    return chain[::-1]
