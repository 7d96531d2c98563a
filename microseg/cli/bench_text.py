"""A measurement for people: a row for each interval, and what it comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.bench.scales import short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from microseg.bench.figures import Figures, FilterFigures
    from microseg.bench.report import Report

    Column = tuple[str, int, Callable[[Figures], str]]

NOTHING = "-"

_INTERFACE: tuple[Column, ...] = (
    ("Time", 7, lambda it: f"{short(it.ends_s)} s"),
    ("In pps", 7, lambda it: short(it.interface.in_pps)),
    ("Gbit/s", 6, lambda it: gigabits(it.interface.in_bps)),
    ("Out pps", 7, lambda it: short(it.interface.out_pps)),
    ("Gbit/s", 6, lambda it: gigabits(it.interface.out_bps)),
)
_MACHINE: tuple[Column, ...] = (("CPU", 6, lambda it: percent(it.cpu_share)),)


def _of_filter(figure: Callable[[FilterFigures], str]) -> Callable[[Figures], str]:
    return lambda it: figure(it.filter) if it.filter else NOTHING


_FILTER: tuple[Column, ...] = (
    ("ns/pkt", 6, _of_filter(lambda it: short(it.ns) if it.ns is not None else NOTHING)),
    ("Hits", 6, _of_filter(lambda it: percent(it.hit_rate))),
    ("New/s", 6, _of_filter(lambda it: short(it.new_sessions_per_s))),
    ("Drop/s", 6, _of_filter(lambda it: short(it.dropped_pps))),
    ("Filter", 6, _of_filter(lambda it: percent(it.cpu_share))),
)


def columns(*, filtered: bool) -> tuple[Column, ...]:
    """Return the columns: title, width, and what stands there."""
    return (*_INTERFACE, *(_FILTER if filtered else ()), *_MACHINE)


def head(*, filtered: bool) -> str:
    """Return the line of the titles."""
    return " ".join(f"{title:>{width}}" for title, width, _ in columns(filtered=filtered))


def line(figures: Figures, *, filtered: bool) -> str:
    """Return the line of an interval."""
    return " ".join(f"{text(figures):>{width}}" for _, width, text in columns(filtered=filtered))


def summary(report: Report) -> Iterator[tuple[str, str]]:
    """Yield names and values of what the whole time came to."""
    whole, measured = report.measurement.whole, report.measurement
    samples = measured.samples or [whole]
    found = whole.interface
    for name, pps, bps, most in (
        ("in", found.in_pps, found.in_bps, max(it.interface.in_pps for it in samples)),
        ("out", found.out_pps, found.out_bps, max(it.interface.out_pps for it in samples)),
    ):
        yield name, f"{short(pps)} packets/s ({short(most)} at most), {gigabits(bps)} Gbit/s"
    if whole.filter:
        yield from _filter_summary(whole.filter, report)
    if whole.cpu_share is not None:
        cpus = f"{percent(whole.cpu_share)} of {report.machine.cpus} CPUs busy, whoever used them"
        yield "machine", f"{cpus}; {percent(whole.softirq_share)} receiving packets"
    for remark in report.remarks:
        yield "traffic", remark


def _filter_summary(mine: FilterFigures, report: Report) -> Iterator[tuple[str, str]]:
    yield "filter", f"{short(mine.pps)} packets/s, {_times(mine)}"
    if mine.hit_rate is not None:
        yield "hit rate", f"{percent(mine.hit_rate)} of them belonged to a session: one lookup"
    busiest = f", the busiest had {short(mine.busiest_cpu_pps)} packets/s" if mine.pps else ""
    yield "cost", f"{percent(mine.cpu_share)} of one CPU{busiest}"
    measured = report.measurement
    if measured.sessions_after is not None:
        opened = mine.new_sessions_per_s * measured.whole.seconds
        yield "sessions", f"{measured.sessions_after:,} in use, {short(opened)} opened meanwhile"
    reasons = sorted(mine.drops_pps.items(), key=lambda each: -each[1])
    for number, (outcome, pps) in enumerate(reasons):
        yield "" if number else "dropped", f"{short(pps)} packets/s: {outcome.meaning}"
    if mine.events_lost_per_s:
        yield "lost", f"{short(mine.events_lost_per_s)} events/s, which nobody took out: microseg observe"


def _times(mine: FilterFigures) -> str:
    if mine.ns is None:
        return "and none of them on this interface"
    sides = [(mine.ns_in, "in"), (mine.ns_out, "out")]
    told = ", ".join(f"{side} {short(ns)}" for ns, side in sides if ns is not None)
    return f"{short(mine.ns)} ns each ({told})"


def gigabits(bps: float) -> str:
    """Return bits a second in Gbit/s; what is little keeps its digits."""
    return f"{bps / 1e9:.4f}" if 0 < bps < 1e8 else short(bps / 1e9)


def percent(share: float | None) -> str:
    """Return a share of one as a percentage."""
    if share is None:
        return NOTHING
    return f"{share:.2%}" if 0 < share < 0.1 else f"{share:.1%}"
