"""The kernel's jiffies, which sessions are timed by: how many a second, and how many now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microseg.kernel.packet_run import Runner

_RATES = (100, 250, 300, 1000)
"""CONFIG_HZ of Linux on x86_64 and aarch64; user space has no other way to learn it."""
_MEASURE_S = 0.1
_FRAME = bytes(64)


def jiffies_now(clock: Runner) -> int:
    """Return the kernel's jiffies (64 bit), read by the program `clock`."""
    cb = clock.run(_FRAME).cb
    return cb[1] << 32 | cb[0]


def measure_hz(clock: Runner) -> int:
    """Return the jiffies per second, in a tenth of a second."""
    began, first = time.monotonic(), jiffies_now(clock)
    time.sleep(_MEASURE_S)
    ended, last = time.monotonic(), jiffies_now(clock)
    measured = (last - first) / (ended - began)
    return min(_RATES, key=lambda rate: abs(rate - measured))
