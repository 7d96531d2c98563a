"""What the flow cache has counted and not yet handed to the sessions; see docs/designs/flow-cache.md."""

from __future__ import annotations

import mmap
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from microseg.abi_cache import lines
from microseg.abi_session import SessionFlag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microseg.abi_session import Session
    from microseg.kernel.maps import Map

_NOTHING = bytes(mmap.PAGESIZE)
_Counts = dict[bool, tuple[int, int]]


class PendingCounts:
    """Packets and octets by session and sending endpoint, of all CPUs."""

    def __init__(self, maps: Iterable[Map]) -> None:
        self._of: defaultdict[tuple[bytes, int], _Counts] = defaultdict(dict)
        for one in maps:
            self._read(one)

    def added_to(self, key: bytes, session: Session) -> Session:
        """Return the session with what the cache has counted for it."""
        counts = self._of.get((key, session.cookie))
        if counts is None:
            return session
        client_is_second = bool(session.flags & SessionFlag.CLIENT_IS_SECOND)
        client, server = (counts.get(second, (0, 0)) for second in (client_is_second, not client_is_second))
        return replace(
            session,
            packets=(session.packets[0] + client[0], session.packets[1] + server[0]),
            octets=(session.octets[0] + client[1], session.octets[1] + server[1]),
        )

    def _read(self, places: Map) -> None:
        """Read page by page; most are empty, and a page holds whole places."""
        size = places.info.max_entries * places.info.value_size
        with mmap.mmap(places.fd, size, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
            for at in range(0, size, mmap.PAGESIZE):
                page = memory[at : at + mmap.PAGESIZE]
                if page != _NOTHING[: len(page)]:
                    self._note(page, places.info.value_size)

    def _note(self, page: bytes, place_size: int) -> None:
        for line in lines(page, place_size):
            counts = self._of[line.key, line.cookie]
            packets, octets = counts.get(line.from_second, (0, 0))
            counts[line.from_second] = packets + line.packets, octets + line.octets
