"""The packet space cut into classes: source, destination, target (protocol and port) and source port.

A box is a product of one set of classes on each of these four axes, all addresses of one family. What a
policy names is a few boxes, and every question about it is one about boxes; so the answers are exact, for
every address, port and protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from microseg.analysis import familiar, rectangles
from microseg.analysis.axes import AddressAxis, NumberAxis
from microseg.analysis.classes import Bits, Rank
from microseg.analysis.rectangles import EVERY_SOURCE_PORT, PORTED, TARGETS
from microseg.analysis.regions import Region
from microseg.policy import ranges
from microseg.policy.addresses import Family
from microseg.policy.packet import Packet
from microseg.policy.services import HIGHEST_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microseg.policy.ranges import Ranges

Box: TypeAlias = tuple[Bits, Bits, Bits, Bits]
"""Classes of sources, destinations, targets, source ports: no side empty, all addresses of one family."""

AXES = range(4)


class Space:
    """The packet space as far as the given regions tell packets apart."""

    def __init__(self, regions: Iterable[Region]) -> None:
        known = list(regions)
        # By identity, as addresses are: most rules share a few services.
        self._services = {id(region.service): region.service for region in known}
        self._shapes = {key: rectangles.of_service(service) for key, service in self._services.items()}
        shapes = [shape for found in self._shapes.values() for shape in found]
        self.src = AddressAxis(region.src for region in known)
        self.dst = AddressAxis(region.dst for region in known)
        self.target = NumberAxis([PORTED, *(targets for targets, _ in shapes)], TARGETS, _target_rank)
        self.source_port = NumberAxis(
            (sources for _, sources in shapes), EVERY_SOURCE_PORT, familiar.source_port_rank
        )

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """How many classes each axis has."""
        return self.src.width, self.dst.width, self.target.width, self.source_port.width

    def boxes(self, region: Region) -> list[Box]:
        """Return the disjoint boxes of one of the given regions (of the same objects)."""
        assert id(region.service) in self._services, "a space knows only the regions it was made of"
        src, dst = self.src.bits(region.src), self.dst.bits(region.dst)
        return [
            (src[family], dst[family], self.target.bits(targets), self.source_port.bits(sources))
            for family in Family
            if src[family] and dst[family]
            for targets, sources in self._shapes[id(region.service)]
        ]

    def everything(self) -> list[Box]:
        """Return the boxes of all packets, one for each family."""
        services = (self.target.everything, self.source_port.everything)
        return [(self.src.everything(family), self.dst.everything(family), *services) for family in Family]

    def targets_from(self, sources: Bits) -> Bits:
        """Return the targets that a box with these source ports can have: some have none of their own."""
        return self.target.everything if sources == self.source_port.everything else self.target.bits(PORTED)

    def region(self, box: Box) -> Region:
        """Return the packets of a box."""
        src, dst, targets, sources = box
        service = rectangles.to_service(self.target.numbers(targets), self.source_port.numbers(sources))
        return Region(self.src.addresses(src), self.dst.addresses(dst), service)

    def packet(self, box: Box) -> Packet:
        """Return the most readable packet of the lowest classes of a box."""
        family, src, dst, targets, sources = self._numbers(lowest_cell(box))
        return _packet(
            family,
            familiar.address(src, family),
            familiar.address(dst, family),
            familiar.target(targets),
            familiar.source_port(sources),
        )

    def ends(self, box: Box) -> list[Packet]:
        """Return the packets of the lowest classes of a box with the lowest of all, and with the highest."""
        family, *sides = self._numbers(lowest_cell(box))
        return [_packet(family, *(numbers[end][end] for numbers in sides)) for end in (0, -1)]

    def _numbers(self, cell: Box) -> tuple[Family, Ranges, Ranges, Ranges, Ranges]:
        src, dst = self.src.addresses(cell[0]), self.dst.addresses(cell[1])
        family = Family.IPV4 if src.v4 else Family.IPV6
        targets, sources = self.target.numbers(cell[2]), self.source_port.numbers(cell[3])
        return family, src.family(family), dst.family(family), targets, sources


def meet(left: Box, right: Box) -> Box | None:
    """Return what two boxes share, or None."""
    src, dst, target, source_port = (mine & theirs for mine, theirs in zip(left, right, strict=True))
    return (src, dst, target, source_port) if src and dst and target and source_port else None


def lowest_cell(box: Box) -> Box:
    """Return the lowest class of each side."""
    src, dst, target, source_port = (bits & -bits for bits in box)
    return src, dst, target, source_port


def with_side(box: Box, axis: int, bits: Bits) -> Box:
    """Return the box with another side on one axis."""
    sides = [*box]
    sides[axis] = bits
    return sides[0], sides[1], sides[2], sides[3]


def _packet(family: Family, src: int, dst: int, target: int, source_port: int) -> Packet:
    if not ranges.contains(PORTED, target):
        source_port = 0
    return Packet(family.address(src), family.address(dst), target >> 16, target & HIGHEST_PORT, source_port)


def _target_rank(targets: Ranges) -> Rank:
    return familiar.target_rank(familiar.target(targets))
