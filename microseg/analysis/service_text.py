"""Services written out: the terms of the language for them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from microseg.analysis import rectangles
from microseg.analysis.rectangles import EVERY_SOURCE_PORT
from microseg.policy import ranges
from microseg.policy.services import ALL_PORTS, HIGHEST_PORT, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.policy.ranges import Range, Ranges
    from microseg.policy.services import ServiceSet

_NAMES = {protocol.value: protocol.name.lower() for protocol in Protocol}


def terms(service: ServiceSet) -> list[str]:
    """Return the terms whose union is a service, such as `tcp/80-443` and `udp/67 from 68`."""
    return [text for rectangle in rectangles.of_service(service) for text in _rectangle(*rectangle)]


def _rectangle(targets: Ranges, sources: Ranges) -> Iterator[str]:
    if sources == EVERY_SOURCE_PORT and targets == rectangles.TARGETS:
        yield "any"
        return
    froms = [""] if sources == EVERY_SOURCE_PORT else [f" from {_interval(each)}" for each in sources]
    for protocol, name in _NAMES.items():
        for low, high in ranges.intersection(targets, ((protocol << 16, protocol << 16 | HIGHEST_PORT),)):
            ports = low & HIGHEST_PORT, high & HIGHEST_PORT
            for text in _ports(name, ports, is_icmp=Protocol(protocol).is_icmp):
                yield from (f"{text}{source}" for source in froms)
    yield from _bare(targets)


def _bare(targets: Ranges) -> Iterator[str]:
    """Yield the protocols without ports, neighbours together."""
    # The one behind a protocol with ports is in the same range of targets as those ports.
    first_and_last = ((low + HIGHEST_PORT >> 16, high >> 16) for low, high in targets)
    numbers = [
        number for first, last in first_and_last for number in range(first, last + 1) if number not in _NAMES
    ]
    for _, run in groupby(enumerate(numbers), key=lambda each: each[1] - each[0]):
        found = [number for _, number in run]
        yield f"proto/{_interval((found[0], found[-1]))}"


def _ports(name: str, ports: Range, *, is_icmp: bool) -> Iterator[str]:
    if ports == ALL_PORTS:
        yield name
    elif is_icmp:
        yield from _icmp(name, *ports)
    else:
        yield f"{name}/{_interval(ports)}"


def _icmp(name: str, low: int, high: int) -> Iterator[str]:
    """Yield whole types, and codes one by one."""
    first = -(-low >> 8)
    last = (high + 1 >> 8) - 1
    if first > last:
        yield from (f"{name}/{number >> 8}/{number & 0xFF}" for number in range(low, high + 1))
        return
    yield from (f"{name}/{number >> 8}/{number & 0xFF}" for number in range(low, first << 8))
    yield f"{name}/{_interval((first, last))}"
    yield from (f"{name}/{number >> 8}/{number & 0xFF}" for number in range(last + 1 << 8, high + 1))


def _interval(pair: Range) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}-{pair[1]}"
