"""microseg bench: what goes through, and what the filter costs."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from microseg.bench.scales import short
from microseg.cli import bench_screen, bench_text, options, terminal
from microseg.cli.clock import now
from microseg.cli.durations import span
from microseg.cli.exits import Command
from microseg.cli.version import program_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.bench.reader import Reader
    from microseg.bench.report import Report
    from microseg.config import Settings


@click.command("bench", cls=Command)
@click.option(
    "-i",
    "--iface",
    "--interface",
    "interface",
    required=True,
    metavar="NAME",
    shell_complete=options.interface_names,
    help="The interface to look at.",
)
@click.option(
    "--duration",
    "duration_s",
    metavar="TIME",
    callback=span,
    default="10s",
    show_default=True,
    help="Measure for so long.",
)
@click.option(
    "--interval",
    "interval_s",
    metavar="TIME",
    callback=span,
    default="1s",
    show_default=True,
    help="A row each so often.",
)
@click.option(
    "--html", "page", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write a page with plots, whole in itself.",
)  # fmt: skip
@options.with_settings(*options.KERNEL)
@options.output_format
def command(
    *,
    settings: Settings,
    interface: str,
    duration_s: float,
    interval_s: float,
    page: Path | None,
    output_format: str,
) -> None:
    """Measure packets, what the filter costs each of them, and how many belong to a session.

    Shows what goes through an interface, and changes nothing there. An interrupt ends it early.
    """
    quiet = output_format == "json"
    with _ending_on_sigterm():
        report = _watch(settings, interface, duration_s, interval_s, quiet=quiet)
    if page:
        _write(page, report)
    if quiet:
        terminal.dump(report.as_object())
    else:
        _show(report)
        if page:
            terminal.say(f"\nWritten: {page}")


def _watch(
    settings: Settings, interface: str, duration_s: float, interval_s: float, *, quiet: bool
) -> Report:
    from microseg.bench.machine import this_machine  # noqa: PLC0415  the kernel's side takes a while to import
    from microseg.bench.measuring import measure  # noqa: PLC0415  as above
    from microseg.bench.reader import Reader  # noqa: PLC0415  as above
    from microseg.bench.report import Report  # noqa: PLC0415  as above

    at = now().isoformat(timespec="seconds")
    with Reader(interface, settings.pin_dir) as reader:
        filtered = bool(reader.programs())
        if not quiet:
            terminal.say(f"Measuring {interface} for {short(duration_s)} s; an interrupt ends it.", bold=True)
            _say_what_is_there(reader, interface, filtered=filtered)
            terminal.say()
        with bench_screen.shown(duration_s, filtered=filtered, quiet=quiet) as tell:
            measurement = measure(reader, duration_s, interval_s, tell)
        machine, shared = this_machine(), reader.others() if filtered else ()
        return Report(program_version(), at, machine, interface, shared, "", measurement)


def _say_what_is_there(reader: Reader, interface: str, *, filtered: bool) -> None:
    if filtered:
        shared = reader.others()
        also = f"; its figures are those of {', '.join(shared)} too" if shared else ""
        terminal.pairs([("filter", f"attached to {interface}{also}")])
        return
    command_there = "attach" if reader.has_policy() else "apply"
    terminal.pairs(
        [
            ("filter", f"none of ours on {interface}, so only what the interface itself counts is shown"),
            ("", f"microseg {command_there} --interface {interface}  puts it there"),
        ]
    )


def _show(report: Report) -> None:
    measured = report.measurement
    early = ", interrupted" if measured.interrupted else ""
    terminal.say(f"\n{report.interface}, {short(measured.whole.seconds)} s{early}:", bold=True)
    terminal.pairs(bench_text.summary(report))
    found = measured.whole.interface
    if not found.in_pps + found.out_pps:
        terminal.say(f"\nNothing passed {report.interface} meanwhile.")


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end it as an interrupt does, so that everything is cleaned up."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write(path: Path, report: Report) -> None:
    from microseg.bench.page import page  # noqa: PLC0415  as above

    path.write_text(page(report, bench_text.summary(report)), encoding="utf-8")
