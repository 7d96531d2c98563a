"""What a packet costs in the data plane, next to references in the same run: `make bench-dataplane`.

Programs take turns, so that a neighbour's load falls on all of them: medians and ratios travel to another
machine, times don't. Ends with 1 when a limit is missed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.flows import FLOWS, flow_frame, make_flows
from bench.references import PLAIN_SESSIONS, references
from bench.results import Limit, Row, Section, Table, report
from kernel.laboratory import ANY, NOWHERE, Laboratory, allow, service, tcp, tcp6, udp

from microseg.kernel.carrying import CACHES
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.maps import Map
from microseg.kernel.packet_run import FrameContext, Runner
from microseg.kernel.shapes import map_shapes
from microseg.policy.addresses import AddressSet
from microseg.policy.rules import Action, NamedSet, Rule
from microseg.reconcile.dataplane import Sizing

ROUNDS = 15
REPEAT = 100_000
PASSES = 40
"""Packets of each flow in a round of many."""
PREFIXES = 10_000
CLIENT, SERVER = "10.0.1.1", "10.0.2.1"
CLIENT6, SERVER6 = "2001:db8:1::1", "2001:db8:2::1"
SIZING = Sizing()
SESSIONS_MB, CACHE_MB = 30, 10
MEMORY_SESSIONS = 100_000
Once = Callable[[], int]
"""A round of one program: nanoseconds a packet."""


RATIOS = (
    ("established", "parsing alone", 2.2),
    ("established", "plain layout", 0.6),
    *((f"established, {flows:,} flows", f"bare lookup, {flows:,} flows", 0.6) for flows in FLOWS),
)
"""How many times the cost of another row a row may have."""
FIRST_NS = 1500
COMMAND = "make bench-dataplane"
NOTE = (
    f"{ROUNDS} rounds of {REPEAT:,} packets, in turn; {PASSES} packets of each flow where there are many. "
    f"The first of a flow and what is denied meet a policy of {PREFIXES:,} address blocks."
)


@contextmanager
def data_plane() -> Iterator[tuple[PinnedDataPlane, Path]]:
    """A data plane of the usual size, and its folder in a BPF file system of its own."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
        pins = Path(folder) / "bench"
        plane = PinnedDataPlane(pins)
        try:
            plane.load(SIZING)
            yield plane, pins
        finally:
            plane.unload()
            plane.close()
            subprocess.run(["umount", folder], check=True)


def enforce(lab: Laboratory) -> None:
    """Put a policy of 10,000 address blocks in force: tcp/80 and udp/53 are allowed from them."""
    blocks = (f"10.{number >> 8}.{number & 255}.0/25" for number in range(PREFIXES))
    many = NamedSet("many", AddressSet.of(*blocks, "10.128.0.0/9"))
    everywhere = NamedSet("everywhere", AddressSet.of(ANY))
    rules = [Rule(Action.ALLOW, many, everywhere, service(port), NOWHERE) for port in ("tcp/80", "udp/53")]
    lab.enforce(*rules, allow("2001:db8::/32", "2001:db8::/32", "tcp/80"))


def establish(lab: Laboratory) -> None:
    """Open a session of each family."""
    lab.open_tcp(src=CLIENT, dst=SERVER)
    assert lab.send(tcp6(CLIENT6, SERVER6, 40000, 80, "S")).passed
    assert lab.send(tcp6(SERVER6, CLIENT6, 80, 40000, "SA")).passed
    assert lab.send(tcp6(CLIENT6, SERVER6, 40000, 80, "A")).passed


def rows_of_one(lab: Laboratory, programs: dict[str, Runner]) -> dict[str, Once]:
    """Return what is measured with one flow, and without any, by name."""
    established = bytes(tcp(CLIENT, SERVER, 40000, 80, "A", b"payload"))
    established6 = bytes(tcp6(CLIENT6, SERVER6, 40000, 80, "A", b"payload"))
    denied = bytes(udp(CLIENT, SERVER, 40000, 99, b"payload")).ljust(60, b"\0")
    first = bytes(udp(CLIENT, SERVER, 40000, 53, b"payload")).ljust(60, b"\0")
    every = FrameContext(mark=1 << 24)
    return {
        "nothing": lambda: programs["empty"].run(established, repeat=REPEAT).duration_ns,
        "parsing alone": lambda: programs["parse_only"].run(established, repeat=REPEAT).duration_ns,
        "plain layout": lambda: programs["plain"].run(established, repeat=REPEAT).duration_ns,
        "established": lambda: lab.flows.run(established, repeat=REPEAT).duration_ns,
        "established, IPv6": lambda: lab.flows.run(established6, repeat=REPEAT).duration_ns,
        "denied": lambda: lab.flows.run(denied, repeat=REPEAT // 4).duration_ns,
        "first of a flow": lambda: programs["many_filter"].run(first, every, REPEAT // 4).duration_ns,
    }


def rows_of_many(programs: dict[str, Runner], flows: int) -> dict[str, Once]:
    """Return what is measured with so many flows, by name."""

    def once(name: str, repeat: int) -> Once:
        frame, context = flow_frame(), FrameContext(mark=flows)
        return lambda: programs[name].run(frame, context, repeat).duration_ns

    return {
        f"parsing alone, {flows:,} flows": once("many_parse_only", REPEAT),
        f"bare lookup, {flows:,} flows": once("many_lookup", PASSES * flows),
        f"plain layout, {flows:,} flows": once("many_plain", PASSES * flows),
        f"established, {flows:,} flows": once("many_filter", PASSES * flows),
    }


def measure(named: dict[str, Once]) -> dict[str, list[int]]:
    """Run all in turn, a round to warm up first."""
    for once in named.values():
        once()
    times: dict[str, list[int]] = {name: [] for name in named}
    for _ in range(ROUNDS):
        for name, once in named.items():
            times[name].append(once())
    return times


def times_table(times: dict[str, list[int]]) -> Table:
    """Return medians and how far they can be trusted."""
    alone = median(times["parsing alone"])
    rows = []
    for name, runs in times.items():
        ordered = sorted(runs)
        quartiles = ordered[ROUNDS // 4], ordered[-1 - ROUNDS // 4]
        rows.append(Row(name, (median(runs), ordered[0], *quartiles, median(runs) / alone)))
    columns = ("ns, median", "least", "quartile", "quartile", "x parsing alone")
    return Table("A packet in the program", columns, tuple(rows), COMMAND, NOTE)


def times_limits(times: dict[str, list[int]]) -> tuple[Limit, ...]:
    """Return what was promised about them."""
    of = {name: median(runs) for name, runs in times.items()}
    return (
        *(Limit(f"{row}, times {other}", of[row] / of[other], most=most) for row, other, most in RATIOS),
        Limit("first of a flow, ns", of["first of a flow"], most=FIRST_NS),
    )


def memory(plane: PinnedDataPlane) -> tuple[Table, tuple[Limit, ...]]:
    """Return what the kernel accounts for maps with 100,000 IPv4 sessions."""
    holds = len(plane.map("session4").entries())
    taken = {name: plane.map(name).memory_bytes() / 1e6 for name in map_shapes(SIZING)}
    total, cache = sum(taken.values()), sum(taken[name] for name in CACHES)
    largest = sorted(taken.items(), key=lambda one: -one[1])[:8]
    rows = (*(Row(name, (size,)) for name, size in largest), Row("all maps", (total,)))
    return Table("Memory", ("MB",), rows, COMMAND, f"With {holds:,} IPv4 sessions."), (
        Limit("maps but for the flow cache, MB", total - cache, most=SESSIONS_MB),
        Limit("the flow cache, MB", cache, most=CACHE_MB),
        Limit("IPv4 sessions in them", holds, least=MEMORY_SESSIONS),
    )


def measured() -> Section:
    """Measure everything."""
    with data_plane() as (plane, pins), references(pins, SIZING) as programs:
        lab = Laboratory(plane)
        lab.clear()
        enforce(lab)
        with Map.pinned(pins / "maps" / PLAIN_SESSIONS) as plain:
            make_flows(plane.map("session4"), plain, plane.read_root().generation, lab.flows.now())
        establish(lab)
        named = rows_of_one(lab, programs)
        for flows in FLOWS:
            named |= rows_of_many(programs, flows)
        times = measure(named)
        sizes, size_limits = memory(plane)
    return Section("data plane", (times_table(times), sizes), (*times_limits(times), *size_limits))


if __name__ == "__main__":
    sys.exit(report(measured, __doc__))
