"""Figures of an interval, from what was read at its beginning and at its end. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from microseg.abi_flow import Direction
from microseg.abi_outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microseg.bench.readings import FilterCounts, Reading

_NS = 1e9


@dataclass(frozen=True, slots=True)
class InterfaceFigures:
    """Packets a second and bits a second."""

    in_pps: float
    in_bps: float
    out_pps: float
    out_bps: float


@dataclass(frozen=True, slots=True)
class FilterFigures:
    """What the filter did.

    Attributes:
        pps: packets a second that it judged or found known.
        pps_by_cpu: the same by processor.
        hit_rate: the share of them that belonged to a session, 0 .. 1; None without any.
        ns: nanoseconds for each packet, by the kernel's statistics; None when it had none.
        ns_in: those received.
        ns_out: those sent.
        cpu_share: of one processor, 0 .. 1 and more: the time of the programs.
        new_sessions_per_s: sessions opened.
        passed_pps: packets that went on.
        drops_pps: packets that did not, by reason; only reasons that occurred.
        events_lost_per_s: events that found the ring buffer full.

    """

    pps: float
    pps_by_cpu: tuple[float, ...]
    hit_rate: float | None
    ns: float | None
    ns_in: float | None
    ns_out: float | None
    cpu_share: float
    new_sessions_per_s: float
    passed_pps: float
    drops_pps: Mapping[Outcome, float]
    events_lost_per_s: float

    @property
    def dropped_pps(self) -> float:
        """Packets a second that did not go on."""
        return sum(self.drops_pps.values())

    @property
    def busiest_cpu_pps(self) -> float:
        """Packets a second of the processor that had most of them."""
        return max(self.pps_by_cpu, default=0.0)


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything of an interval.

    Attributes:
        ends_s: seconds from the beginning of the measurement to the interval's end.
        seconds: its length.
        interface: of the interface.
        cpu_share: of all processors together, 0 .. 1, whoever used them; None when it was too short to tell.
        softirq_share: of them in soft interrupts.
        filter: None when nothing of ours was attached.

    """

    ends_s: float
    seconds: float
    interface: InterfaceFigures
    cpu_share: float | None
    softirq_share: float | None
    filter: FilterFigures | None


def between(first: Reading, last: Reading, began_s: float) -> Figures:
    """Return the figures of what lies between two readings; began_s: when the measurement began."""
    seconds = last.at_s - first.at_s
    assert seconds > 0, f"an interval of {seconds} s"
    ticks = last.cpu.total - first.cpu.total
    mine = None
    if first.filter is not None and last.filter is not None:
        mine = _of_filter(first.filter, last.filter, seconds)
    return Figures(
        ends_s=last.at_s - began_s,
        seconds=seconds,
        interface=InterfaceFigures(
            in_pps=_more(first.interface.in_packets, last.interface.in_packets) / seconds,
            in_bps=8 * _more(first.interface.in_bytes, last.interface.in_bytes) / seconds,
            out_pps=_more(first.interface.out_packets, last.interface.out_packets) / seconds,
            out_bps=8 * _more(first.interface.out_bytes, last.interface.out_bytes) / seconds,
        ),
        cpu_share=_more(first.cpu.busy, last.cpu.busy) / ticks if ticks > 0 else None,
        softirq_share=_more(first.cpu.softirq, last.cpu.softirq) / ticks if ticks > 0 else None,
        filter=mine,
    )


def of_each(readings: Sequence[Reading]) -> list[Figures]:
    """Return the figures of the intervals between readings, one after the other."""
    return [between(first, last, readings[0].at_s) for first, last in pairwise(readings)]


def _of_filter(first: FilterCounts, last: FilterCounts, seconds: float) -> FilterFigures:
    outcomes = {
        outcome: _more(first.stats.outcomes[outcome], count) for outcome, count in last.stats.outcomes.items()
    }
    packets = sum(outcomes.values())
    passed = sum(count for outcome, count in outcomes.items() if outcome.passes)
    spent = {direction: _spent(first, last, direction) for direction in Direction}
    runs = sum(count for count, _ in spent.values())
    duration_ns = sum(duration for _, duration in spent.values())
    return FilterFigures(
        pps=packets / seconds,
        pps_by_cpu=tuple(
            _more(before, after) / seconds
            for before, after in zip(first.packets_by_cpu, last.packets_by_cpu, strict=True)
        ),
        hit_rate=outcomes[Outcome.PASS_SESSION] / packets if packets else None,
        ns=duration_ns / runs if runs else None,
        ns_in=_each(*spent[Direction.INGRESS]),
        ns_out=_each(*spent[Direction.EGRESS]),
        cpu_share=duration_ns / _NS / seconds,
        new_sessions_per_s=_more(first.stats.sessions_created, last.stats.sessions_created) / seconds,
        passed_pps=passed / seconds,
        drops_pps={
            outcome: count / seconds for outcome, count in outcomes.items() if count and not outcome.passes
        },
        events_lost_per_s=_more(first.stats.events_lost, last.stats.events_lost) / seconds,
    )


def _spent(first: FilterCounts, last: FilterCounts, direction: Direction) -> tuple[int, int]:
    """Return runs and nanoseconds of a direction; none when its program was replaced meanwhile."""
    before, after = first.runs.get(direction), last.runs.get(direction)
    if before is None or after is None:
        return 0, 0
    return _more(before.count, after.count), _more(before.duration_ns, after.duration_ns)


def _each(runs: int, duration_ns: int) -> float | None:
    return duration_ns / runs if runs else None


def _more(before: int, after: int) -> int:
    """Return by how much a count grew; 0 when it began anew, as with another load of the program."""
    return max(0, after - before)
