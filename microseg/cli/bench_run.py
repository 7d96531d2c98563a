"""The two ways of microseg bench: looking at an interface, and a filter on a network of its own."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import click

from microseg.bench import own_filter
from microseg.bench.flamegraph import flamegraph
from microseg.bench.generated import Stream, sending
from microseg.bench.machine import this_machine
from microseg.bench.measuring import await_packets, measure
from microseg.bench.own_network import NEAR, own_network
from microseg.bench.perf import require_perf, sampled
from microseg.bench.reader import Reader
from microseg.bench.report import Report
from microseg.bench.scales import short
from microseg.bench.traffic import Order, Route, Tool, require, running
from microseg.cli import bench_screen, policy_input, terminal
from microseg.cli.clock import now
from microseg.cli.version import program_version
from microseg.reconcile.dataplane import Hook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from microseg.config import Settings

    Traffic: TypeAlias = AbstractContextManager[Callable[[], tuple[str, ...]]]

_LOOPBACK = "lo"
_ON_LOOPBACK = Route(nullcontext, nullcontext, "127.0.0.1")
_ROOM = 2
"""Sessions there is room for, for each flow: an LRU map drops some long before it is full."""
_MANY = 50_000
"""Flows that take seconds to make."""
_PARALLEL = 128
"""Connections that iperf3 can have."""
_SOURCES: dict[str, Tool | Stream] = {source.value: source for kind in (Stream, Tool) for source in kind}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, whichever way."""

    duration: float
    interval: float
    traffic: str | None
    flows: int
    rate: int | None
    flamegraph: Path | None
    quiet: bool

    def source(self) -> Tool | Stream:
        """Return what makes the traffic; raises UsageError when it can't be made so."""
        source = _SOURCES[self.traffic or Stream.ESTABLISHED.value]
        if self.rate and source in (Tool.IPERF3, Tool.HTTP):
            raise click.UsageError(f"--traffic {source.value} sends as much as goes, whatever --rate says")
        if self.flows > 1 and source not in (Tool.IPERF3, Stream.ESTABLISHED):
            raise click.UsageError(f"--flows is for --traffic generator and iperf3, not for {source.value}")
        if self.flows > _PARALLEL and source is Tool.IPERF3:
            raise click.UsageError(f"iperf3 has {_PARALLEL} connections at most")
        return source

    def order(self) -> Order:
        """Return what is wanted of it."""
        return Order(self.duration, self.flows, self.rate)

    def words(self) -> str:
        """Return the traffic in words."""
        flows = f", {self.flows:,} connections" if self.flows > 1 else ""
        return f"{self.source().value}{flows}{f', {self.rate:,} packets/s' if self.rate else ''}"


def watch(settings: Settings, interface: str, asked: Asked) -> Report:
    """Look at an interface; traffic is only made on lo, where it stays."""
    traffic = _on_loopback(interface, asked) if asked.traffic else None
    if asked.flamegraph:
        require_perf()
    with Reader(interface, settings.pin_dir) as reader:
        if not asked.quiet:
            title = f"Measuring {interface} for {short(asked.duration)} s; an interrupt ends it."
            terminal.say(title, bold=True)
            _say_what_is_there(reader)
        return _measured(reader, asked, traffic)


def _on_loopback(interface: str, asked: Asked) -> Traffic:
    source = asked.source()
    if interface != _LOOPBACK:
        raise click.UsageError(
            "--traffic goes between interfaces made for it: leave --iface out, or name lo, where it stays"
        )
    if isinstance(source, Stream):
        raise click.UsageError(f"lo takes no traffic of the {source.value} kind: ping, http or iperf3")
    return running(source, asked.order(), _ON_LOOPBACK)


def try_out(asked: Asked, policy_dir: Path | None, hook: str | None, *, debug: bool) -> Report:
    """Make two hosts and a filter, send traffic through it, and take everything away again."""
    source = asked.source()
    if isinstance(source, Tool):
        require(source)
    if asked.flamegraph:
        require_perf()
    given = policy_input.files(policy_dir or own_filter.EXAMPLE)
    contents = own_filter.compiled(given.tree, now().date())
    chosen = None if hook in (None, "tc") else Hook(hook)
    with own_network() as network:
        if not asked.quiet:
            title = "Loading a filter on a network of its own; nothing of this host is touched."
            terminal.say(title, bold=True)
        room = asked.flows * _ROOM
        filtering = own_filter.own_filter(network.pin_dir, contents, chosen, room, debug=debug)
        with filtering as found, Reader(NEAR.device, network.pin_dir) as reader:
            if not asked.quiet:
                traced = ", which traces each packet" if debug else ""
                policy = str(policy_dir) if policy_dir else "an example"
                rows = [
                    ("filter", f"{found.value} on {NEAR.device}{traced}"),
                    ("policy", f"{policy}, {contents.entry_count():,} entries"),
                    ("traffic", f"{asked.words()}, for {short(asked.duration)} s; an interrupt ends it"),
                    ("", "making the connections first takes a while" if asked.flows >= _MANY else ""),
                ]
                terminal.pairs(rows)
            if isinstance(source, Tool):
                route = Route(network.at_far, nullcontext, NEAR.address)
                return _measured(reader, asked, running(source, asked.order(), route))
            return _measured(reader, asked, sending(source, asked.order(), network), os.getpid())


def _measured(reader: Reader, asked: Asked, traffic: Traffic | None, process: int | None = None) -> Report:
    """Measure; process: who sends and receives, None when that isn't one alone."""
    sent = asked.words() if traffic else ""
    at = now().isoformat(timespec="seconds")
    filtered = bool(reader.programs())
    with traffic or nullcontext(_nothing) as end:
        if traffic:
            await_packets(reader)
        if not asked.quiet:
            terminal.say()
        showing = bench_screen.shown(asked.duration, filtered=filtered, quiet=asked.quiet)
        drawn = _drawn(asked.flamegraph, f"microseg bench, {sent or reader.interface}", process)
        with drawn, showing as tell:
            measurement = measure(reader, asked.duration, asked.interval, tell)
        said = () if measurement.interrupted else end()
    return Report(
        version=program_version(), at=at, machine=this_machine(), interface=reader.interface,
        shared=reader.others() if filtered else (), traffic=sent,
        measurement=measurement, remarks=said,
    )  # fmt: skip


@contextmanager
def _drawn(file: Path | None, title: str, process: int | None) -> Iterator[None]:
    """Draw where the time of a process goes meanwhile, or all time, if there is a file for it."""
    if not file:
        yield
        return
    with sampled(process) as stacks:
        yield
        found = stacks()
    file.write_text(flamegraph(title, found), encoding="utf-8")


def _nothing() -> tuple[str, ...]:
    return ()


def _say_what_is_there(reader: Reader) -> None:
    interface = reader.interface
    if reader.programs():
        shared = reader.others()
        also = f"; its figures are those of {', '.join(shared)} too" if shared else ""
        terminal.pairs([("filter", f"attached to {interface}{also}")])
        return
    there = "attach" if reader.has_policy() else "apply"
    terminal.pairs(
        [
            ("filter", f"none of ours on {interface}, so only what the interface itself counts is shown"),
            ("", f"microseg {there} --interface {interface}  puts it there"),
            ("", "microseg bench  tries it out on a network of its own"),
        ]
    )
