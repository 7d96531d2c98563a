"""microseg bench: what goes through, and what the filter costs."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from microseg.bench.scales import short
from microseg.cli import bench_text, options, terminal
from microseg.cli.durations import span
from microseg.cli.exits import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from microseg.bench.report import Report
    from microseg.config import Settings

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

TRAFFIC = ("generator", "new-flows", "denied", "iperf3", "http", "ping", "hping3")
_ONCE_S = 1.0
"""Signals that come so soon after one say nothing new."""
HOOKS = ("tc", "tcx", "clsact", "xdp")


def _option(*names: str, **rest: Any) -> Decorator:  # noqa: ANN401  click's values
    return click.option(*names, **rest)


_WHAT: tuple[Decorator, ...] = (
    _option(
        "-i", "--iface", "--interface", "interface", metavar="NAME", shell_complete=options.interface_names,
        help="Look at this interface, and change nothing there; by default two are made, with a filter.",
    ),
    _option(
        "--traffic", type=click.Choice(TRAFFIC),
        help=f"What to send between them, {TRAFFIC[0]} by default; with --iface, only lo takes it.",
    ),
    _option(
        "--flows", type=click.IntRange(1, 1_000_000), default=1, metavar="N",
        help="So many connections (generator, iperf3); one by default.",
    ),
    _option(
        "--rate", type=click.IntRange(1), metavar="N",
        help="Packets a second; by default as many as go.",
    ),
    _option(
        "--policy", "policy_dir", metavar="FOLDER",
        type=click.Path(file_okay=False, exists=True, path_type=Path),
        help="Let the filter that is made search this policy; by default an example.",
    ),
    _option("--hook", type=click.Choice(HOOKS), help="How to attach it; tc: tcx where the kernel has it."),
    _option("--debug-program", is_flag=True, help="Let it trace each packet, to see what that costs."),
)  # fmt: skip
_HOW: tuple[Decorator, ...] = (
    _option("--duration", metavar="TIME", callback=span, default="10s", show_default=True, help="Of it all."),
    _option("--interval", metavar="TIME", callback=span, default="1s", show_default=True, help="Of a row."),
    _option(
        "--html", "page", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
        help="Write a page with plots, whole in itself.",
    ),
    _option(
        "--flamegraph", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
        help="Write where time went as an SVG image (needs perf).",
    ),
)  # fmt: skip


def _with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for decorate in reversed((*_WHAT, *_HOW)):
        function = decorate(function)
    return function


@click.command("bench", cls=Command)
@_with_options
@options.with_settings(*options.KERNEL)
@options.output_format
def command(
    *,
    settings: Settings,
    interface: str | None,
    page: Path | None,
    output_format: str,
    policy_dir: Path | None,
    hook: str | None,
    debug_program: bool,
    **asked: Any,  # noqa: ANN401  click's values
) -> None:
    """Measure packets, what the filter costs each of them, and how many belong to a session.

    With --iface, shows what goes through an interface, and changes nothing there. Without it, makes two hosts
    of network namespaces with a filter of their own, sends traffic, and takes everything away again; what is
    in force on this host is not touched. An interrupt ends it early, with what was measured.
    """
    from microseg.cli.bench_run import Asked, try_out, watch  # noqa: PLC0415  the kernel's side takes a while

    wanted = Asked(**asked, quiet=output_format == "json")
    with _ending_on_signals():
        if interface:
            _refuse_with_interface(policy=policy_dir, hook=hook, debug_program=debug_program)
            report = watch(settings, interface, wanted)
        else:
            report = try_out(wanted, policy_dir, hook, debug=debug_program)
    if page:
        _write(page, report)
    if wanted.quiet:
        terminal.dump(report.as_object())
        return
    _show(report)
    if written := [str(file) for file in (page, wanted.flamegraph) if file]:
        terminal.say(f"\nWritten: {', '.join(written)}")


def _refuse_with_interface(**given: object) -> None:
    for name, value in given.items():
        if value:
            option = name.replace("_", "-")
            raise click.UsageError(
                f"--{option} is about a filter made for the measurement; leave it out, or --iface"
            )


def _show(report: Report) -> None:
    measured = report.measurement
    early = ", interrupted" if measured.interrupted else ""
    terminal.say(f"\n{report.interface}, {short(measured.whole.seconds)} s{early}:", bold=True)
    terminal.pairs(bench_text.summary(report))
    found = measured.whole.interface
    if not found.in_pps + found.out_pps:
        terminal.say(f"\nNothing passed {report.interface} meanwhile.")
        if report.interface == "lo":
            terminal.say("To see something: microseg bench --iface lo --traffic ping, or http or iperf3")


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Let SIGTERM end it as an interrupt does; and either once, though it may come to us and to our group."""
    last_s = -_ONCE_S

    def interrupt(*_: object) -> None:
        nonlocal last_s
        if (now_s := time.monotonic()) > last_s + _ONCE_S:
            last_s = now_s
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write(path: Path, report: Report) -> None:
    from microseg.bench.page import page  # noqa: PLC0415  most need none

    path.write_text(page(report, bench_text.summary(report)), encoding="utf-8")
