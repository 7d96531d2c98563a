"""What is counted anyway, read at one moment: by the interface, by the processors, by the filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microseg.abi_flow import Direction, Stats
    from microseg.kernel.runs import Runs


@dataclass(frozen=True, slots=True)
class InterfaceCounts:
    """What an interface has received and sent: packets, and bytes with their link headers."""

    in_packets: int
    in_bytes: int
    out_packets: int
    out_bytes: int


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Time of all processors together, in ticks of 10 ms.

    Attributes:
        total: all of it, what a hypervisor gave to others included.
        busy: spent neither idle nor waiting for a disk.
        softirq: of that, in soft interrupts, where packets are received.

    """

    total: int
    busy: int
    softirq: int


@dataclass(frozen=True, slots=True)
class FilterCounts:
    """What the filter has counted, on all interfaces it is attached to.

    Attributes:
        stats: packets by what became of them, sessions, events.
        packets_by_cpu: packets that each processor has judged.
        runs: of the programs on the interface, by direction, while the kernel's statistics were on.

    """

    stats: Stats
    packets_by_cpu: tuple[int, ...]
    runs: Mapping[Direction, Runs]


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything at one moment.

    Attributes:
        at_s: the moment, in seconds on a clock that only goes forward.
        interface: of the interface.
        cpu: of the machine.
        filter: None when nothing of ours is attached there.

    """

    at_s: float
    interface: InterfaceCounts
    cpu: CpuTime
    filter: FilterCounts | None


def parse_interface_counts(text: str, name: str) -> InterfaceCounts | None:
    """Find an interface in what /proc/net/dev says; None when it isn't there."""
    for line in text.splitlines():
        found, _, rest = line.partition(":")
        if found.strip() == name:
            words = [int(word) for word in rest.split()]
            return InterfaceCounts(
                in_packets=words[1], in_bytes=words[0], out_packets=words[9], out_bytes=words[8]
            )
    return None


def parse_cpu_time(text: str) -> CpuTime:
    """Read what /proc/stat says of all processors together (man 5 proc)."""
    first = next(line for line in text.splitlines() if line.startswith("cpu "))
    user, nice, system, idle, iowait, irq, softirq, steal = (int(word) for word in first.split()[1:9])
    busy = user + nice + system + irq + softirq
    return CpuTime(busy + idle + iowait + steal, busy, softirq)
