"""Sets of packets told as products of named sets and services, as few and as readable as are easily found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias, overload

from microseg.analysis import products
from microseg.analysis.classes import Bits, ones
from microseg.analysis.naming import AddressNames, ServiceNames
from microseg.analysis.regions import Region
from microseg.analysis.space import lowest_cell, meet
from microseg.policy.addresses import Family
from microseg.policy.services import union

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from microseg.analysis.space import Box
    from microseg.analysis.stack import Stack
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Ruleset
    from microseg.policy.services import ServiceSet

CUT_LIMIT = 64
"""A cut that takes more boxes than this to spell out is told with its exceptions."""

_PARTNERS = 64
"""With how many products one of the other family is tried to be told together."""

_PARTNERS_OF_MANY = 4
"""The same when there are more than TOTAL_LIMIT; then both ends of what is told together need names."""

_FEW = 64
"""More exceptions than this aren't looked into: they stand there as the rules have them."""

_FEW_PRODUCTS = 2
"""So many products are told one by one, whatever else could be said."""

TOTAL_LIMIT = 256
"""More boxes than this are made fewer cut by cut only: together it would take long."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A box without some boxes of the stack, and a cell of what is left."""

    box: Box
    without: Bits
    cell: Box


@dataclass(frozen=True, slots=True)
class Product:
    """A region with words for its sides."""

    src: str
    dst: str
    service: str
    region: Region

    def __str__(self) -> str:
        return f"{self.src} -> {self.dst}" + ("" if self.service == "any" else f" : {self.service}")


@dataclass(frozen=True, slots=True)
class Part:
    """Packets of some cuts.

    Attributes:
        product: the packets, except
        exceptions: those of these products.
        witness: one of them.
        cuts: the places, in what was described, of the cuts some of the packets come from.

    """

    product: Product
    exceptions: Sequence[Product]
    witness: Packet
    cuts: tuple[int, ...]

    def __contains__(self, packet: Packet) -> bool:
        return packet in self.product.region and not any(
            packet in exception.region for exception in self.exceptions
        )


class _ToldWhenAsked(Sequence[Product]):
    """Very many products, of which readers look at a few: each is put into words when it is looked at."""

    def __init__(self, numbers: Sequence[int], tell: Callable[[int], Product]) -> None:
        """Take their numbers, and what makes a product of one."""
        self._numbers = numbers
        self._tell = tell

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, at: int) -> Product: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Product]: ...
    def __getitem__(self, at: int | slice) -> Product | Sequence[Product]:
        if isinstance(at, slice):
            return _ToldWhenAsked(self._numbers[at], self._tell)
        return self._tell(self._numbers[at])


_Piece: TypeAlias = "tuple[Box, tuple[int, ...]]"
"""A box, and the places of the cuts it shares packets with."""


class Wording:
    """Tells cuts of one stack in the words of some rulesets."""

    def __init__(self, stack: Stack, *rulesets: Ruleset) -> None:
        rules = [ordered.rule for ruleset in rulesets for ordered in ruleset.ordered()]
        self._stack = stack
        self._exceptions: dict[int, Product] = {}
        self._addresses = AddressNames(side for rule in rules for side in (rule.src, rule.dst))
        self._services = ServiceNames(rule.service for rule in rules)

    def describe(self, cuts: Sequence[Cut]) -> list[Part]:
        """Return parts that together are the packets of the cuts."""
        pieces: list[tuple[Box, int]] = []
        excepting: list[Part] = []
        for number, cut in enumerate(cuts):
            hopeless = len(cuts) > _FEW and cut.without.bit_count() > _FEW
            boxes = None if hopeless else products.remainder(cut.box, self._boxes(cut.without), CUT_LIMIT)
            if boxes is None:
                excepting.append(self._excepting(number, cut))
            else:
                pieces += [(box, number) for box in boxes]
        spelled_out = [self._part(product, (), mine) for product, mine in self._merged(self._fewest(pieces))]
        around = self._around(pieces, spelled_out)
        return [*(around or spelled_out), *excepting]

    def _part(self, product: Product, exceptions: Iterable[Product], pieces: Sequence[_Piece]) -> Part:
        witness = self._stack.space.packet(min(lowest_cell(box) for box, _ in pieces))
        return Part(product, tuple(exceptions), witness, _numbers(pieces))

    def _around(self, pieces: Sequence[tuple[Box, int]], plain: Sequence[Part]) -> list[Part]:
        """Return what is around disjoint boxes with its exceptions, if that is easier to read than parts.

        Most of all there is, is told by what it isn't: `any -> any` except what is allowed.
        """
        if len(plain) <= _FEW_PRODUCTS or len(pieces) > TOTAL_LIMIT:
            return []
        hulls: list[_Piece] = []
        holes: list[_Piece] = []
        for mine in self._by_family(pieces):
            hull = products.hull([box for box, _ in mine])
            rest = products.remainder(hull, [box for box, _ in mine], CUT_LIMIT)
            if rest is None:
                return []
            hulls.append((hull, tuple(number for _, number in mine)))
            holes += [(box, ()) for box in products.fewest(self._stack.space, rest)]
        merged = self._merged(hulls)
        exceptions = [product for product, _ in self._merged(holes)]
        product, _ = merged[0]
        if len(merged) > 1 or self._cost(product, *exceptions) >= self._cost(
            *(part.product for part in plain)
        ):
            return []
        return [self._part(product, exceptions, [(box, (number,)) for box, number in pieces])]

    def _cost(self, *told: Product) -> int:
        """Return what it costs a reader to take in some products."""
        sides = (self._addresses.cost(each.region.src, each.region.dst) for each in told)
        return sum(sides) + sum(self._services.words(each.region.service).cost for each in told)

    def _by_family(self, pieces: Iterable[tuple[Box, int]]) -> list[list[tuple[Box, int]]]:
        """Return boxes by the family of their addresses."""
        v4 = self._stack.space.src.everything(Family.IPV4)
        found: tuple[list[tuple[Box, int]], list[tuple[Box, int]]] = [], []
        for piece in pieces:
            found[not piece[0][0] & v4].append(piece)
        return [mine for mine in found if mine]

    def _fewest(self, pieces: Sequence[tuple[Box, int]]) -> list[_Piece]:
        """Return few boxes for disjoint ones, each with the places of its cuts."""
        if len(pieces) > TOTAL_LIMIT:
            by_cut = groupby(pieces, key=lambda piece: piece[1])
            return [
                (box, (number,))
                for number, mine in by_cut
                for box in products.fewest(self._stack.space, [box for box, _ in mine])
            ]
        boxes = products.fewest(self._stack.space, [box for box, _ in pieces])
        return [(box, tuple(number for piece, number in pieces if meet(piece, box))) for box in boxes]

    def _excepting(self, number: int, cut: Cut) -> Part:
        space = self._stack.space
        exceptions: Sequence[Product]
        if cut.without.bit_count() > _FEW:
            exceptions = _ToldWhenAsked(tuple(ones(cut.without)), self._exception)
        else:
            parts = [part for other in self._boxes(cut.without) if (part := meet(cut.box, other))]
            merged = self._merged([(box, ()) for box in _widest(parts)])
            exceptions = tuple(product for product, _ in merged)
        product = self._product(space.region(cut.box))
        return Part(product, exceptions, space.packet(cut.cell), (number,))

    def _exception(self, at: int) -> Product:
        """Return a whole box of the stack as a product, the same object each time."""
        if at not in self._exceptions:
            self._exceptions[at] = self._product(self._stack.space.region(self._stack.boxes[at]))
        return self._exceptions[at]

    def _boxes(self, bits: Bits) -> Iterable[Box]:
        return (self._stack.boxes[at] for at in ones(bits))

    def _merged(self, pieces: Iterable[_Piece]) -> list[tuple[Product, list[_Piece]]]:
        """Return boxes as products, those told together that differ in the service or in the family only."""
        by_ends: dict[tuple[Bits, Bits], list[_Piece]] = {}
        for piece in pieces:
            by_ends.setdefault(piece[0][:2], []).append(piece)
        many = len(by_ends) > TOTAL_LIMIT
        found: list[tuple[Region, list[_Piece]]] = []
        of_one_family: dict[ServiceSet, list[int]] = {}
        for mine in by_ends.values():
            regions = [self._stack.space.region(box) for box, _ in mine]
            region = Region(regions[0].src, regions[0].dst, union(each.service for each in regions))
            partners = of_one_family.setdefault(region.service, [])
            for partner in partners[-(_PARTNERS_OF_MANY if many else _PARTNERS) :]:
                both = self._of_both_families(found[partner][0], region, named=many)
                if both:
                    partners.remove(partner)
                    found[partner] = both, found[partner][1] + mine
                    break
            else:
                partners.append(len(found))
                found.append((region, mine))
        return [(self._product(region), mine) for region, mine in found]

    def _of_both_families(self, region: Region, other: Region, *, named: bool) -> Region | None:
        """Return regions of one family each, with one service, as one, if that is easier to read.

        If asked for, only one whose ends have names, which is quickly seen.
        """
        if any(region.src.family(family) and other.src.family(family) for family in Family):
            return None
        src, dst = region.src | other.src, region.dst | other.dst
        if named and not (self._addresses.name(src) and self._addresses.name(dst)):
            return None
        apart = sum(self._addresses.cost(each.src, each.dst) for each in (region, other))
        return Region(src, dst, region.service) if self._addresses.cost(src, dst) < apart else None

    def _product(self, region: Region) -> Product:
        src, dst = self._addresses.pair(region.src, region.dst)
        return Product(src, dst, self._services.words(region.service).text, region)


def _numbers(pieces: Iterable[_Piece]) -> tuple[int, ...]:
    return tuple(sorted({number for _, numbers in pieces for number in numbers}))


def _widest(boxes: Iterable[Box]) -> list[Box]:
    """Leave out boxes that lie within another."""
    kept: list[Box] = []
    for box in sorted(set(boxes), key=products.volume, reverse=True):
        if not any(meet(box, other) == box for other in kept):
            kept.append(box)
    return kept
