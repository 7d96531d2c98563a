"""Figures of an interval are what was counted in it, by the second."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.abi_flow import Direction, Stats
from microseg.abi_outcome import Outcome
from microseg.bench.figures import between, of_each
from microseg.bench.readings import (
    CpuTime,
    FilterCounts,
    InterfaceCounts,
    Reading,
    parse_cpu_time,
    parse_interface_counts,
)
from microseg.kernel.runs import Runs

NET_DEV = """\
Inter-|   Receive                                       |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier
    lo:  840   10  0    0    0     0          0         0      840   10  0    0    0     0       0          0
  eth0:123456789 1000 0 0    0     0          0         0 987654321 2000 0    0    0     0       0          0
"""
STAT = "cpu  10 2 30 1000 5 1 4 8 3 0\ncpu0 10 2 30 1000 5 1 4 8 3 0\n"

COUNTS = st.integers(0, 2**48)


def stats(**counts: int) -> Stats:
    """Return statistics with these outcomes and other counts."""
    outcomes = {outcome: counts.pop(outcome.name.lower(), 0) for outcome in Outcome}
    others = {field.name: counts.pop(field.name, 0) for field in fields(Stats) if field.name != "outcomes"}
    assert not counts
    return Stats(outcomes, **others)


def reading(at_s: float, mine: FilterCounts | None = None, packets: int = 0, busy: int = 0) -> Reading:
    counts = InterfaceCounts(packets, 100 * packets, 2 * packets, 400 * packets)
    return Reading(at_s, counts, CpuTime(int(at_s * 200), busy, busy // 2), mine)


def judged(sessions: int, denied: int, ns: int, **more: int) -> FilterCounts:
    packets = sessions + denied
    counted = stats(pass_session=sessions, drop_denied=denied, **more)
    runs = {Direction.INGRESS: Runs(packets, ns), Direction.EGRESS: Runs(0, 0)}
    return FilterCounts(counted, (packets // 4, packets - packets // 4), runs)


def test_figures_of_an_interval() -> None:
    first = reading(10.0, judged(100, 0, 5_000), packets=50, busy=100)
    last = reading(12.0, judged(1000, 100, 85_000, sessions_created=8, events_lost=4), packets=250, busy=300)
    found = between(first, last, began_s=9.0)
    assert (found.ends_s, found.seconds) == (3.0, 2.0)
    assert (found.interface.in_pps, found.interface.in_bps) == (100.0, 80_000.0)
    assert (found.interface.out_pps, found.interface.out_bps) == (200.0, 320_000.0)
    assert (found.cpu_share, found.softirq_share) == (0.5, 0.25)
    mine = found.filter
    assert mine
    assert (mine.pps, mine.hit_rate) == (500.0, 0.9)
    assert (mine.ns, mine.ns_in, mine.ns_out) == (80.0, 80.0, None)
    assert mine.cpu_share == pytest.approx(80_000 / 2e9)
    assert (mine.drops_pps, mine.dropped_pps) == ({Outcome.DROP_DENIED: 50.0}, 50.0)
    assert (mine.passed_pps, mine.new_sessions_per_s, mine.events_lost_per_s) == (450.0, 4.0, 2.0)
    assert mine.busiest_cpu_pps == 375.0


def test_what_was_not_there_has_no_figures() -> None:
    idle = between(reading(1.0), reading(2.0), 1.0)
    assert idle.filter is None
    quiet = between(reading(1.0, judged(5, 5, 9)), reading(2.0, judged(5, 5, 9)), 1.0).filter
    assert quiet
    assert (quiet.hit_rate, quiet.ns, quiet.pps, quiet.drops_pps) == (None, None, 0.0, {})
    before = reading(1.0, judged(500, 0, 900))
    other_program = replace(judged(510, 0, 10), runs={})
    assert (replaced := between(before, reading(2.0, other_program), 1.0).filter)
    assert (replaced.ns, replaced.pps) == (None, 10.0)
    assert between(before, reading(2.0), 1.0).filter is None


@given(st.lists(st.tuples(COUNTS, COUNTS, COUNTS), min_size=2, max_size=6))
def test_the_whole_is_the_mean_of_its_parts(counts: list[tuple[int, int, int]]) -> None:
    rising = [tuple(sorted(column)) for column in zip(*counts, strict=True)]
    readings = [
        reading(float(at), judged(sessions, denied, ns), packets=sessions)
        for at, (sessions, denied, ns) in enumerate(zip(*rising, strict=True), 1)
    ]
    parts, whole = of_each(readings), between(readings[0], readings[-1], 1.0)
    assert whole.filter
    for part in parts:
        assert part.filter
        assert 0 <= (part.filter.hit_rate or 0) <= 1
        assert part.filter.pps == pytest.approx(part.filter.passed_pps + part.filter.dropped_pps)
    mean = sum(part.filter.pps for part in parts if part.filter) / len(parts)
    assert whole.filter.pps == pytest.approx(mean)
    assert whole.interface.in_pps == pytest.approx(sum(p.interface.in_pps for p in parts) / len(parts))


@given(COUNTS, COUNTS)
def test_counts_that_begin_anew_are_never_negative(before: int, after: int) -> None:
    mine = between(
        reading(1.0, judged(before, before, before)), reading(2.0, judged(after, after, after)), 1.0
    )
    assert mine.filter
    assert mine.filter.pps >= 0
    assert mine.filter.cpu_share >= 0
    assert all(pps > 0 for pps in mine.filter.drops_pps.values())


def test_what_the_kernel_prints() -> None:
    assert parse_interface_counts(NET_DEV, "eth0") == InterfaceCounts(1000, 123_456_789, 2000, 987_654_321)
    assert parse_interface_counts(NET_DEV, "eth1") is None
    assert parse_cpu_time(STAT) == CpuTime(total=1060, busy=47, softirq=4)
