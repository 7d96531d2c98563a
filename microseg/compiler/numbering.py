"""Precedence numbers policy by policy: those of a policy that nothing new can meet are as before.

What decides the numbers of a policy is the policy, and the numbers of the earlier ones that it can meet: what
sets overlap is decided by what they contain, and a block of which that is another is another block. Where it
takes longer than numbering everything at once, everything is numbered at once: there is only one result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from microseg.compiler import precedence
from microseg.compiler.precedence import overlapping
from microseg.memo import Last

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.compiler.drafts import Block
    from microseg.compiler.precedence import Meets

Numbers: TypeAlias = tuple[int, ...]
Overlaps: TypeAlias = list[int]


class Meeting(NamedTuple):
    """What sets and services have an address or a packet in common."""

    addresses: Meets
    services: Meets


@dataclass(frozen=True, slots=True)
class Numbered:
    """A block as it was numbered.

    Attributes:
        near: the earlier blocks it can meet, as bits.
        numbers: of its lines.

    """

    near: int
    numbers: Numbers


@dataclass(slots=True)
class Numbering:
    """What is kept of the last time.

    Attributes:
        blocks: in order.
        numbered: each of them.
        sources, destinations, services: which blocks overlap each by its members in that place.

    """

    blocks: Sequence[Block] = ()
    numbered: Sequence[Numbered] = ()
    sources: Last[object, Overlaps] = field(default_factory=Last)
    destinations: Last[object, Overlaps] = field(default_factory=Last)
    services: Last[object, Overlaps] = field(default_factory=Last)


def number(blocks: Sequence[Block], meeting: Meeting, last: Numbering) -> list[Numbers]:
    """Return the precedences of each block's lines.

    Args:
        blocks: in the order of evaluation.
        meeting: which sets, and services, overlap.
        last: what is kept; it is left as this time.

    """
    near = _near(blocks, meeting, last)
    known = _known(blocks, last)
    at_once = _at_once(blocks, meeting) if _is_much(blocks, near, known) else None
    numbers: list[Numbers] = []
    changed = 0
    for at, block in enumerate(blocks):
        before = known[at]
        if before is None or before.near != near[at] or near[at] & changed:
            found = at_once[at] if at_once else _behind(block, near[at], blocks, numbers, meeting)
            # The same object as before, so that what follows is known as well.
            found = before.numbers if before and before.numbers == found else found
        else:
            found = before.numbers
        if before is None or found is not before.numbers:
            changed |= 1 << at
        numbers.append(found)
    last.blocks, last.numbered = tuple(blocks), list(map(Numbered, near, numbers))
    return numbers


def _known(blocks: Sequence[Block], last: Numbering) -> list[Numbered | None]:
    """Return how blocks were numbered that were there, the places of others being those of today."""
    places = {id(block): at for at, block in enumerate(blocks)}
    moved = [places.get(id(block)) for block in last.blocks]
    known: list[Numbered | None] = [None] * len(blocks)
    stay = all(to is None or to == at for at, to in enumerate(moved))
    for to, before in zip(moved, last.numbered, strict=True):
        if to is not None:
            known[to] = before if stay else _moved(before, moved)
    return known


def _moved(before: Numbered, moved: Sequence[int | None]) -> Numbered | None:
    near = 0
    for at in _ones(before.near):
        to = moved[at]
        if to is None:
            return None
        near |= 1 << to
    return Numbered(near, before.numbers)


def _is_much(blocks: Sequence[Block], near: Sequence[int], known: Sequence[Numbered | None]) -> bool:
    """Say whether more lines would be looked at than there are, to number block by block what has changed."""
    changed = sum(1 << at for at, before in enumerate(known) if before is None)
    sizes = [len(block.legs) for block in blocks]
    work = sum(
        sizes[at] + sum(sizes[each] for each in _ones(near[at]))
        for at, before in enumerate(known)
        if before is None or before.near != near[at] or near[at] & changed
    )
    return work > sum(sizes)


def _at_once(blocks: Sequence[Block], meeting: Meeting) -> list[Numbers]:
    numbers = precedence.of_legs([leg for block in blocks for leg in block.legs], *meeting)
    ends = accumulate((len(block.legs) for block in blocks), initial=0)
    return [tuple(numbers[first:end]) for first, end in pairwise(ends)]


def _behind(
    block: Block, near: int, blocks: Sequence[Block], numbers: Sequence[Numbers], meeting: Meeting
) -> Numbers:
    """Return the numbers of a block behind lines that it can meet, of the blocks that it can meet."""
    meets = meeting.addresses, meeting.addresses, meeting.services
    src, dst, service = map(_reached, block.members, meets)
    earlier = [
        (leg, number)
        for at in _ones(near)
        for leg, number in zip(blocks[at].legs, numbers[at], strict=True)
        if leg.dst_set in dst and leg.src_set in src and leg.service in service
    ]
    legs = [*(leg for leg, _ in earlier), *block.legs]
    return tuple(precedence.of_legs(legs, *meeting, [number for _, number in earlier])[len(earlier) :])


def _reached(members: frozenset[int], meets: Meets) -> set[int]:
    """Return all that some member overlaps."""
    return set(members).union(*(meets[member] for member in members if member in meets))


def _near(blocks: Sequence[Block], meeting: Meeting, last: Numbering) -> list[int]:
    """Return, for each block, the earlier ones of which some line may meet one of its own, as bits."""
    addresses, services = meeting
    overlaps = [
        of_place.of(partial(_overlaps, members, meets), (members, meets))
        for of_place, members, meets in (
            (last.sources, tuple(block.members[0] for block in blocks), addresses),
            (last.destinations, tuple(block.members[1] for block in blocks), addresses),
            (last.services, tuple(block.members[2] for block in blocks), services),
        )
    ]
    return [
        src & dst & service & ((1 << at) - 1)
        for at, (src, dst, service) in enumerate(zip(*overlaps, strict=True))
    ]


def _overlaps(members: Sequence[frozenset[int]], meets: Meets, before: Overlaps | None) -> Overlaps:
    """Return, for each block, the blocks of which some member meets one of its own, as bits."""
    del before
    owners = overlapping(members, meets)
    found: Overlaps = []
    for each in members:
        bits = 0
        for member in each:
            bits |= owners[member]
        found.append(bits)
    return found


def _ones(bits: int) -> list[int]:
    """Return the places of a number's bits that are set, ascending."""
    return [at for at, digit in enumerate(reversed(f"{bits:b}")) if digit == "1"]
