"""Precedence numbers policy by policy: those of a policy that nothing new can meet are as before.

What decides the numbers of a policy is the policy, and the numbers of the earlier ones that it can meet: what
sets overlap is decided by what they contain, and a block of which that is another is another block. Where it
takes longer than numbering everything at once, everything is numbered at once: there is only one result.
"""

from __future__ import annotations

from itertools import accumulate, chain, pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from microseg.compiler import precedence
from microseg.compiler.precedence import overlapping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.compiler.containment import Lists
    from microseg.compiler.drafts import Block
    from microseg.memo import Memo

Numbers: TypeAlias = tuple[int, ...]


class Meeting(NamedTuple):
    """What sets and services have in common, as lists of those that contain the same."""

    addresses: Lists
    services: Lists


def number(blocks: Sequence[Block], meeting: Meeting, known: Memo[Numbers]) -> list[Numbers]:
    """Return the precedences of each block's lines.

    Args:
        blocks: in the order of evaluation.
        meeting: two sets, or services, overlap exactly when some list has both.
        known: the numbers of each block among others, and its last ones.

    """
    near = _near(blocks, meeting)
    at_once = _at_once(blocks, meeting) if _is_much(blocks, near, known) else None
    numbers: list[Numbers] = []
    for at, block in enumerate(blocks):
        earlier = [(blocks[each], numbers[each]) for each in near[at]]
        key = (block, *chain.from_iterable(earlier))
        last, found = known.find((block,), "last"), known.find(key)
        if found is None:
            found = at_once[at] if at_once else _behind(earlier, block, meeting)
            found = last if last == found else found  # the same object, so that what follows is known as well
            known.keep(found, key)
            known.keep(found, (block,), "last")
        numbers.append(found)
    return numbers


def _is_much(blocks: Sequence[Block], near: Sequence[Sequence[int]], known: Memo[Numbers]) -> bool:
    """Say whether more lines would be looked at than there are, to number block by block what has changed."""
    changed = {at for at, block in enumerate(blocks) if known.find((block,), "last") is None}
    sizes = [len(block.legs) for block in blocks]
    work = sum(
        sizes[at] + sum(sizes[each] for each in near[at])
        for at in range(len(blocks))
        if at in changed or not changed.isdisjoint(near[at])
    )
    return work > sum(sizes)


def _at_once(blocks: Sequence[Block], meeting: Meeting) -> list[Numbers]:
    numbers = precedence.of_legs([leg for block in blocks for leg in block.legs], *meeting)
    ends = accumulate((len(block.legs) for block in blocks), initial=0)
    return [tuple(numbers[first:end]) for first, end in pairwise(ends)]


def _behind(earlier: Sequence[tuple[Block, Numbers]], block: Block, meeting: Meeting) -> Numbers:
    """Return the numbers of a block behind those that it can meet."""
    legs = [leg for each, _ in earlier for leg in each.legs]
    before = [number for _, numbers in earlier for number in numbers]
    return tuple(precedence.of_legs([*legs, *block.legs], *meeting, before)[len(legs) :])


def _near(blocks: Sequence[Block], meeting: Meeting) -> list[list[int]]:
    """Return, for each block, the earlier ones of which some line may meet one of its own."""
    addresses, services = meeting
    columns = [block.members for block in blocks]
    src, dst, service = (
        overlapping([members[axis] for members in columns], lists)
        for axis, lists in enumerate((addresses, addresses, services))
    )
    found: list[list[int]] = []
    for at, (sources, destinations, names) in enumerate(columns):
        bits = _any(src, sources) & _any(dst, destinations) & _any(service, names) & ((1 << at) - 1)
        found.append([each for each in range(at) if bits >> each & 1])
    return found


def _any(overlaps: dict[int, int], members: frozenset[int]) -> int:
    found = 0
    for member in members:
        found |= overlaps[member]
    return found
