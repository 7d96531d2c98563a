"""How often programs ran, and for how long: statistics of the kernel, which are off unless asked for."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from microseg.kernel.bpf import Attributes, Command, Descriptor, object_info

_RUN_TIME = 0
"""BPF_STATS_RUN_TIME of enum bpf_stats_type."""

_INFO_SIZE, _RUNS_AT = 208, 192
"""Of struct bpf_prog_info: up to and with run_time_ns and run_cnt."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of a program since it was loaded, those only while the statistics were on.

    Attributes:
        count: runs; a tail call belongs to the run that makes it.
        duration_ns: nanoseconds they took together, and with them most of what measuring takes.

    """

    count: int
    duration_ns: int

    def __add__(self, other: Runs) -> Runs:
        return Runs(self.count + other.count, self.duration_ns + other.duration_ns)

    @property
    def each_ns(self) -> float | None:
        """Nanoseconds of a run; None when none was counted."""
        return self.duration_ns / self.count if self.count else None


def counting() -> Descriptor:
    """Turn the statistics on until the descriptor is closed, if only by the end of the process.

    They cost each run of any program two readings of the clock.
    """
    asked = Attributes("I", _RUN_TIME)
    return Descriptor(asked.call_or_raise(Command.ENABLE_STATS, "turn the kernel's BPF statistics on"))


def runs_of(program: Descriptor) -> Runs:
    """Return the runs of a loaded program."""
    raw = object_info(program.fd, _INFO_SIZE, "read a program's statistics")
    duration_ns, count = struct.unpack_from("=2Q", raw, _RUNS_AT)
    return Runs(count, duration_ns)
