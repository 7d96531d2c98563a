"""Coverage, differences of boxes and the fewest boxes, against the cells one by one."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest

from microseg.analysis import products
from microseg.analysis.classes import ones
from microseg.analysis.coverage import Covered, Escapes, cover, first_escape, needed
from microseg.analysis.regions import Region
from microseg.analysis.space import Box, Space
from microseg.analysis.stack import Stack
from microseg.policy.addresses import AddressSet
from microseg.policy.services import ServiceSet

CLASSES = (5, 4, 3, 3)
"""So many classes, or a few more, each axis has here."""

SETS = [AddressSet.of(f"10.0.0.{i}") for i in range(max(CLASSES))]
SERVICES = [ServiceSet.of(6, (i, i), (j, j)) for i in range(1, 4) for j in range(1, 4)]
SPACE = Space(Region(SETS[i % 5], SETS[i % 4], service) for i, service in enumerate(SERVICES * 3))

Cells = frozenset[tuple[int, ...]]


def cells(box: Box) -> Cells:
    return frozenset(product(*(tuple(ones(side)) for side in box)))


def random_box(rng: Random) -> Box:
    src, dst, target, source_port = (rng.randrange(1, 1 << width) for width in CLASSES)
    return src, dst, target, source_port


@pytest.mark.parametrize("seed", range(300))
def test_coverage_is_that_of_the_cells(seed: int) -> None:
    rng = Random(seed)
    stack = Stack(SPACE, [random_box(rng) for _ in range(rng.randrange(1, 14))])
    box = random_box(rng)
    others = rng.randrange(1 << len(stack.boxes))
    escaping = cells(box).difference(*(cells(stack.boxes[at]) for at in ones(others)))
    coverage = cover(stack, box, others)
    if isinstance(coverage, Covered):
        assert not escaping
        assert not coverage.by & ~others
        assert not cells(box).difference(*(cells(stack.boxes[at]) for at in ones(coverage.by)))
    else:
        assert cells(coverage.cell) <= escaping
        assert len(cells(coverage.cell)) == 1
    first = first_escape(stack, box, others)
    assert (cells(first) if first else set()) == ({min(escaping)} if escaping else set())
    overlapping = {at for at, other in enumerate(stack.boxes) if cells(other) & cells(box)}
    assert set(ones(stack.overlapping(box))) == overlapping


@pytest.mark.parametrize("seed", range(100))
def test_needed_groups_cover_and_none_can_be_left_out(seed: int) -> None:
    rng = Random(seed)
    boxes = [random_box(rng) for _ in range(12)]
    stack = Stack(SPACE, boxes)
    wanted = [(0b11, 0b11, 0b1, 0b1), (0b100, 0b1, 0b11, 0b11)]
    groups = {number: 0b11 << 2 * number for number in range(6)}
    if any(isinstance(cover(stack, box, stack.all), Escapes) for box in wanted):
        return
    kept = needed(stack, wanted, groups)
    for left_out in [None, *kept]:
        rest = sum(groups[number] for number in kept if number != left_out)
        covered = all(isinstance(cover(stack, box, rest), Covered) for box in wanted)
        assert covered is (left_out is None)


@pytest.mark.parametrize("seed", range(300))
def test_remainders_and_the_fewest_boxes_are_the_same_cells(seed: int) -> None:
    rng = Random(seed)
    box, others = random_box(rng), [random_box(rng) for _ in range(rng.randrange(6))]
    pieces = products.remainder(box, others, limit=1000)
    assert pieces is not None
    left = cells(box).difference(*map(cells, others))
    assert frozenset().union(*map(cells, pieces)) == left
    assert sum(map(products.volume, pieces)) == len(left)
    few = products.fewest(SPACE, pieces)
    assert frozenset().union(*map(cells, few)) == left
    assert len(few) <= len(pieces)
    for at, each in enumerate(few):
        assert cells(each).difference(*map(cells, few[:at] + few[at + 1 :]))


def test_a_remainder_of_too_many_pieces_is_given_up() -> None:
    everything: Box = (0b11111, 0b1111, 0b111, 0b111)
    assert products.remainder(everything, [(0b1, 0b1, 0b1, 0b1)], limit=3) is None
    assert products.remainder(everything, [everything], limit=0) == []


def test_two_halves_are_told_as_a_whole() -> None:
    halves: list[Box] = [(0b11, 0b1, 0b1, 0b1), (0b1100, 0b1, 0b1, 0b1), (0b1111, 0b10, 0b1, 0b1)]
    assert products.fewest(SPACE, halves) == [(0b1111, 0b11, 0b1, 0b1)]
