"""The sets of sessions that open, of a data plane under test."""

from __future__ import annotations

import mmap
from collections.abc import Callable

from microseg.abi_opening import WAYS
from microseg.abi_session import SESSION_SIZE, Session
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.openings import OPENINGS, entries

TAG_SIZE, SESSIONS_AT = 8, 64


def opening(plane: PinnedDataPlane, name: str = "opening4") -> list[Session]:
    """Return the sessions of IPv4 that open; or of IPv6."""
    return [Session.from_bytes(key, value) for key, value in entries(plane.map(name)).items()]


def change_all(plane: PinnedDataPlane, change: Callable[[bytes], bytes]) -> None:
    """Put something else in the place of each session."""
    for name in OPENINGS:
        size = plane.map(name).info.value_size
        with mmap.mmap(plane.map(name).fd, plane.map(name).info.max_entries * size) as memory:
            for start in range(0, len(memory), size):
                for way in range(WAYS):
                    if any(memory[start + way * TAG_SIZE : start + (way + 1) * TAG_SIZE]):
                        at = start + SESSIONS_AT + way * SESSION_SIZE
                        memory[at : at + SESSION_SIZE] = change(memory[at : at + SESSION_SIZE])
