"""Reading at every interval for a while, and what comes of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.bench.figures import Figures, between, of_each

if TYPE_CHECKING:
    from collections.abc import Callable

    from microseg.bench.reader import Reader
    from microseg.bench.readings import Reading

_FEW, _TRIES = 10, 100
"""Packets of a beginning, such as a search for the neighbour's address; how often to look for more."""
_LEAST_S = 0.02
"""Shorter intervals say nothing; an interrupt may leave one."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured.

    Attributes:
        readings: two at least, in order.
        sessions_before: sessions in use when it began; None without a filter.
        sessions_after: when it ended.
        interrupted: it was ended before its time.

    """

    readings: tuple[Reading, ...]
    sessions_before: int | None = None
    sessions_after: int | None = None
    interrupted: bool = False

    @property
    def samples(self) -> list[Figures]:
        """Return the figures of each interval."""
        return of_each(self.readings)

    @property
    def whole(self) -> Figures:
        """Return the figures of all the time."""
        return between(self.readings[0], self.readings[-1], self.readings[0].at_s)


def await_packets(reader: Reader) -> None:
    """Wait until something passes, so that the beginning isn't measured; not for long."""
    counts = reader.read().interface
    for _ in range(_TRIES):
        time.sleep(_LEAST_S)
        if reader.read().interface.in_packets > counts.in_packets + _FEW:
            return


def measure(
    reader: Reader, duration_s: float, interval_s: float, tell: Callable[[Figures], None]
) -> Measurement:
    """Read until the time is over or somebody interrupts; `tell` gets each interval's figures at its end."""
    sessions = reader.sessions()
    readings = [reader.read()]
    began_s, interrupted = readings[0].at_s, False
    ends_s = began_s + duration_s
    try:
        while (now_s := readings[-1].at_s) + _LEAST_S < ends_s:
            wanted_s = min(began_s + interval_s * len(readings), ends_s)
            time.sleep(max(wanted_s - time.monotonic(), _LEAST_S))
            readings.append(reader.read())
            tell(between(readings[-2], readings[-1], began_s))
            assert readings[-1].at_s > now_s, "the clock goes forward"
    except KeyboardInterrupt:
        interrupted = True
        time.sleep(_LEAST_S)
        readings.append(reader.read())
    return Measurement(tuple(readings), sessions, reader.sessions(), interrupted)
