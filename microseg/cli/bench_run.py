"""The two ways of microseg bench: looking at an interface, and a filter on a network of its own."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from microseg.bench import own_filter
from microseg.bench.machine import this_machine
from microseg.bench.measuring import await_packets, measure
from microseg.bench.own_network import NEAR, own_network
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

_LOOPBACK, _LOOPBACK_ADDRESS = "lo", "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, whichever way."""

    duration: float
    interval: float
    traffic: str | None
    flows: int
    rate: int | None
    quiet: bool

    def tool(self) -> Tool:
        """Return what makes the traffic; raises UsageError when it can't be made so."""
        tool = Tool(self.traffic) if self.traffic else Tool.IPERF3
        if self.rate and not tool.takes_rate:
            raise click.UsageError(
                f"--traffic {tool.value} sends as much as goes; --rate is for ping and hping3"
            )
        if self.flows > 1 and tool is not Tool.IPERF3:
            raise click.UsageError(
                f"--traffic {tool.value} has one connection at a time; --flows is for iperf3"
            )
        return tool

    def words(self) -> str:
        """Return the traffic in words."""
        flows = f", {self.flows} connections" if self.flows > 1 else ""
        return f"{self.tool().value}{flows}{f', {self.rate:,} packets/s' if self.rate else ''}"


def watch(settings: Settings, interface: str, asked: Asked) -> Report:
    """Look at an interface; traffic is only made on lo, where it stays."""
    if asked.traffic and interface != _LOOPBACK:
        raise click.UsageError(
            "--traffic goes between interfaces made for it: leave --iface out, or name lo, where it stays"
        )
    route = Route(nullcontext, nullcontext, _LOOPBACK_ADDRESS) if asked.traffic else None
    with Reader(interface, settings.pin_dir) as reader:
        if not asked.quiet:
            terminal.say(
                f"Measuring {interface} for {short(asked.duration)} s; an interrupt ends it.", bold=True
            )
            _say_what_is_there(reader)
        return _measured(reader, asked, route)


def try_out(asked: Asked, policy_dir: Path | None, hook: str | None, *, debug: bool) -> Report:
    """Make two hosts and a filter, send traffic through it, and take everything away again."""
    tool = asked.tool()
    require(tool)
    given = policy_input.files(policy_dir or own_filter.EXAMPLE)
    contents = own_filter.compiled(given.tree, now().date())
    with own_network() as network:
        if not asked.quiet:
            terminal.say(
                "Loading a filter on a network of its own; nothing of this host is touched.", bold=True
            )
        chosen = None if hook in (None, "tc") else Hook(hook)
        filtering = own_filter.own_filter(network.pin_dir, contents, chosen, asked.flows, debug=debug)
        with filtering as found, Reader(NEAR.device, network.pin_dir) as reader:
            if not asked.quiet:
                traced = ", which traces each packet" if debug else ""
                policy = str(policy_dir) if policy_dir else "an example"
                rows = [
                    ("filter", f"{found.value} on {NEAR.device}{traced}"),
                    ("policy", f"{policy}, {contents.entry_count():,} entries"),
                    ("traffic", f"{asked.words()}, for {short(asked.duration)} s; an interrupt ends it"),
                ]
                terminal.pairs(rows)
            return _measured(reader, asked, Route(network.at_far, nullcontext, NEAR.address))


def _measured(reader: Reader, asked: Asked, route: Route | None) -> Report:
    at = now().isoformat(timespec="seconds")
    filtered = bool(reader.programs())
    with _traffic(asked, route) as remarks:
        if route:
            await_packets(reader)
        if not asked.quiet:
            terminal.say()
        with bench_screen.shown(asked.duration, filtered=filtered, quiet=asked.quiet) as tell:
            measurement = measure(reader, asked.duration, asked.interval, tell)
        said = () if measurement.interrupted else remarks()
    return Report(
        version=program_version(), at=at, machine=this_machine(), interface=reader.interface,
        shared=reader.others() if filtered else (), traffic=asked.words() if route else "",
        measurement=measurement, remarks=said,
    )  # fmt: skip


@contextmanager
def _traffic(asked: Asked, route: Route | None) -> Iterator[Callable[[], tuple[str, ...]]]:
    if route is None:
        yield lambda: ()
        return
    order = Order(asked.duration, asked.flows, asked.rate)
    with running(asked.tool(), order, route) as end:
        yield end


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
