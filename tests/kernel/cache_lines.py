"""The flow cache of a data plane under test: emptied, aged, and on which CPU packets meet it."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from microseg.abi_cache import UNTIL_BITS, Line, lines
from microseg.kernel.bpf import MapType
from microseg.kernel.carrying import CACHES
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.maps import Map

LIFE = struct.Struct("=Q")
LIFE_OFFSET = 8
OCTETS = struct.Struct("=I")
OCTETS_OFFSET = 4
WAYS = 2


def cpus() -> list[int]:
    """Return the CPUs this process may run on."""
    return sorted(os.sched_getaffinity(0))


@contextmanager
def on(cpu: int) -> Iterator[None]:
    """Have packets meet this CPU meanwhile: each has lines of its own."""
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, here)


@contextmanager
def staying() -> Iterator[list[int]]:
    """Run on one CPU meanwhile, in a test run of several workers not all on the same; gives all there are."""
    before = cpus()
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    os.sched_setaffinity(0, {before[int(worker) % len(before)]})
    try:
        yield before
    finally:
        os.sched_setaffinity(0, before)


def empty(any_map: Map) -> None:
    """Leave nothing in a map: of a hash no entry, of memory that can be mapped only zeroes."""
    if any_map.info.type == MapType.ARRAY:
        with _memory(any_map) as memory:
            memory[:] = bytes(len(memory))
    else:
        any_map.delete_many(list(any_map.entries()))


def forget(plane: PinnedDataPlane) -> None:
    """Empty all lines."""
    for name in CACHES:
        empty(plane.map(name))


def older(plane: PinnedDataPlane, jiffies: int) -> None:
    """Have the time of every line end so much earlier."""
    for name in CACHES:
        step = plane.map(name).info.value_size // WAYS
        with _memory(plane.map(name)) as memory:
            for page in range(0, len(memory), mmap.PAGESIZE):
                if any(memory[page : page + mmap.PAGESIZE]):
                    for at in range(page + LIFE_OFFSET, min(page + mmap.PAGESIZE, len(memory)), step):
                        (life,) = LIFE.unpack_from(memory, at)
                        until = (life - jiffies) & (1 << UNTIL_BITS) - 1
                        LIFE.pack_into(memory, at, life >> UNTIL_BITS << UNTIL_BITS | until)


def held(plane: PinnedDataPlane) -> list[Line]:
    """Return the lines that hold counts."""
    found: list[Line] = []
    for name in CACHES:
        with _memory(plane.map(name)) as memory:
            found += lines(memory[:], plane.map(name).info.value_size)
    return found


def untils(plane: PinnedDataPlane) -> list[int]:
    """Return until when lines speak, in jiffies, of those that were ever taken."""
    found = []
    for name in CACHES:
        step = plane.map(name).info.value_size // WAYS
        with _memory(plane.map(name)) as memory:
            found += [LIFE.unpack_from(memory, at + LIFE_OFFSET)[0] for at in range(0, len(memory), step)]
    return [life & (1 << UNTIL_BITS) - 1 for life in found if life]


def occupy(plane: PinnedDataPlane, generation: int, until: int) -> None:
    """Have every line of IPv4 speak, for nobody, until some jiffy."""
    line = struct.pack("=2IQ16x", generation, 0, until & (1 << UNTIL_BITS) - 1)
    with _memory(plane.map("flow4")) as memory:
        memory[:] = line * (len(memory) // len(line))


def put_octets(plane: PinnedDataPlane, octets: int) -> None:
    """Have the lines of IPv4 that hold counts hold so many octets more."""
    step = plane.map("flow4").info.value_size // WAYS
    with _memory(plane.map("flow4")) as memory:
        for at in range(0, len(memory), step):
            if LIFE.unpack_from(memory, at + LIFE_OFFSET)[0] >> UNTIL_BITS:
                (now,) = OCTETS.unpack_from(memory, at + OCTETS_OFFSET)
                OCTETS.pack_into(memory, at + OCTETS_OFFSET, now + octets)


@contextmanager
def _memory(places: Map) -> Iterator[mmap.mmap]:
    size = places.info.max_entries * places.info.value_size
    with mmap.mmap(places.fd, size, mmap.MAP_SHARED) as memory:
        yield memory
