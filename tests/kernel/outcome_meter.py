"""Which outcomes were counted since the last look: quick enough to look after every frame."""

from __future__ import annotations

import struct

from microseg.abi_outcome import OUTCOME_SLOTS, Outcome
from microseg.kernel.dataplane import PinnedDataPlane

_COUNTS = struct.Struct(f"={OUTCOME_SLOTS}Q")


class OutcomeMeter:
    """Reads the outcome counters of a data plane."""

    def __init__(self, plane: PinnedDataPlane) -> None:
        self._stats = plane.map("stats")
        self._before = self._read()

    def moved(self) -> dict[Outcome, int]:
        """Return what was added to each counter that moved; raises ValueError for one that is no outcome."""
        now = self._read()
        if now == self._before:
            return {}
        moved = {
            Outcome(i): new - old
            for i, (old, new) in enumerate(zip(self._before, now, strict=True))
            if new != old
        }
        self._before = now
        return moved

    def _read(self) -> list[int]:
        per_cpu = self._stats.split_per_cpu(self._stats.lookup(bytes(4)))
        return [sum(column) for column in zip(*(_COUNTS.unpack_from(one) for one in per_cpu), strict=True)]
