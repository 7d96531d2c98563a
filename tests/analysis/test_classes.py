"""Classes tell apart what the sets tell apart, and nothing else."""

from __future__ import annotations

from random import Random

import pytest

from microseg.analysis import rectangles
from microseg.analysis.classes import bits_of, lowest, ones, partition, union
from microseg.analysis.regions import Region
from microseg.analysis.space import Space
from microseg.policy import ranges
from microseg.policy.addresses import ANY_ADDRESS, AddressSet
from microseg.policy.packet import Packet
from microseg.policy.ranges import Ranges
from microseg.policy.services import ANY_SERVICE, ServiceSet

SIZE = 40


def random_set(rng: Random) -> Ranges:
    return ranges.normalize((n, n + rng.randrange(5)) for n in rng.sample(range(SIZE), rng.randrange(5)))


@pytest.mark.parametrize("seed", range(50))
def test_a_partition_has_a_class_for_each_membership_that_occurs(seed: int) -> None:
    rng = Random(seed)
    sets = [random_set(rng) for _ in range(rng.randrange(5))]
    universe = ((2, 20), (25, SIZE))
    cut = partition(sets, universe)
    members = {
        number: tuple(ranges.contains(each, number) for each in sets)
        for number in range(SIZE + 1)
        if ranges.contains(universe, number)
    }
    assert len(cut.classes) == len(set(members.values()))
    for number, class_numbers in enumerate(cut.classes):
        memberships = {members.pop(value) for low, high in class_numbers for value in range(low, high + 1)}
        assert memberships == {tuple(bool(bits >> number & 1) for bits in cut.sets)}
        assert cut.numbers(1 << number) == class_numbers
    assert not members
    assert cut.numbers(cut.everything) == universe


def test_classes_are_sorted_by_their_rank() -> None:
    cut = partition([((0, 9),), ((20, 29),)], ((0, 29),), lambda numbers: (-numbers[0][0],))
    assert cut.classes == (((20, 29),), ((10, 19),), ((0, 9),))
    assert cut.sets == (0b100, 0b001)


@pytest.mark.parametrize("width", [8, 500, 5000])
def test_bits_are_a_set_of_numbers(width: int) -> None:
    numbers = sorted(Random(width).sample(range(width), width // 3))
    bits = bits_of(numbers, width)
    assert list(ones(bits)) == numbers
    assert lowest(bits) == numbers[0]
    assert union([bits, 1 << width, 0]) == bits | 1 << width
    assert list(ones(0)) == []


@pytest.mark.parametrize(
    "service",
    [
        ANY_SERVICE,
        ServiceSet.of(6, (80, 443), (1, 1023)) | ServiceSet.of(6, (100, 200)) | ServiceSet.of(47),
        ServiceSet.of(17, source_ports=(67, 68)) | ServiceSet.of(1) | ServiceSet.of(6, (1, 1)),
        ServiceSet.of(58, (128 << 8, 128 << 8 | 255)),
    ],
)
def test_rectangles_are_the_packets_of_a_service(service: ServiceSet) -> None:
    fields = [
        *(
            (protocol, port, source)
            for protocol in (6, 17, 132)
            for port in (0, 1, 80, 150, 443)
            for source in (0, 67, 999, 1024)
        ),
        *((protocol, port, 0) for protocol in (1, 58) for port in (0, 128 << 8 | 3, 9)),
        *((protocol, 0, 0) for protocol in (0, 47, 50, 255)),
    ]
    found = rectangles.of_service(service)
    for protocol, port, source in fields:
        target = protocol << 16 | port
        held = [
            ranges.contains(targets, target) and ranges.contains(sources, source)
            for targets, sources in found
        ]
        assert sum(held) == service.contains(protocol, port, source)
    assert rectangles.real(rectangles.real(service)) == rectangles.real(service)
    for each in fields:
        assert rectangles.real(service).contains(*each) is service.contains(*each)


@pytest.mark.parametrize(
    ("src", "dst", "service", "packet"),
    [
        (ANY_ADDRESS, ANY_ADDRESS, ANY_SERVICE, "203.0.113.1 -> 203.0.113.1 : tcp/1 from 49152"),
        (
            AddressSet.of("10.1.1.0/24"),
            ANY_ADDRESS,
            ServiceSet.of(17, (53, 53)),
            "10.1.1.1 -> 203.0.113.1 : udp/53 from 49152",
        ),
        (
            AddressSet.of("2001:db8:7::/48"),
            ANY_ADDRESS,
            ServiceSet.of(58),
            "2001:db8:7::1 -> 2001:db8::1 : icmpv6/0/0",
        ),
        (
            AddressSet.of("10.1.1.7"),
            AddressSet.of("10.1.1.0/31"),
            ServiceSet.of(6, (0, 0), (5, 9)),
            "10.1.1.7 -> 10.1.1.1 : tcp/0 from 5",
        ),
        (
            AddressSet.of("10.1.1.7"),
            AddressSet.of("10.1.1.8"),
            ServiceSet.of(47),
            "10.1.1.7 -> 10.1.1.8 : proto/47",
        ),
    ],
)
def test_witnesses_are_familiar(src: AddressSet, dst: AddressSet, service: ServiceSet, packet: str) -> None:
    region = Region(src, dst, service)
    space = Space([region])
    witness: Packet = space.packet(space.boxes(region)[0])
    assert str(witness) == packet
    assert witness in region
