"""Sessions that open: the entries of opening4 and opening6, whose sets the program hashes into itself."""

from __future__ import annotations

import mmap
from contextlib import contextmanager
from typing import TYPE_CHECKING

from microseg import abi_opening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.abi_opening import Opening
    from microseg.kernel.maps import Map

OPENINGS = ("opening4", "opening6")


def entries(sets: Map) -> dict[bytes, bytes]:
    """Return the sessions by key, as of session4 and session6. Some may come or go meanwhile."""
    return {opening.key: opening.value for opening in _openings(sets)}


def count(sets: Map) -> int:
    """Return how many there are."""
    return sum(1 for _ in _openings(sets))


def carry(before: Map, after: Map) -> None:
    """Copy those that another map, maybe of another size, doesn't have; programs may be writing to it."""
    found = list(_openings(before))
    with _memory(after) as memory:
        for opening in found:
            abi_opening.put(memory, after.info.value_size, opening)


def _openings(sets: Map) -> Iterator[Opening]:
    with _memory(sets) as memory:
        return abi_opening.openings(bytes(memory), sets.info.value_size)


@contextmanager
def _memory(sets: Map) -> Iterator[memoryview]:
    size = sets.info.max_entries * sets.info.value_size
    with mmap.mmap(sets.fd, size, mmap.MAP_SHARED) as memory, memoryview(memory) as view:
        yield view
