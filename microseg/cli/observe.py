"""microseg observe: denied and logged packets as they come."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import click

from microseg.cli import event_text, instance, options, terminal
from microseg.cli.exits import Command
from microseg.reconcile.attribution import Attributor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.abi_flow import Event
    from microseg.config import Settings

POLL_S = 0.5
COLORS = {"deny": "red", "reject": "red", "drop": "magenta", "would deny": "yellow", "allow": "green"}


@click.command("observe", cls=Command)
@options.with_settings(*options.KERNEL)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many events.")
@click.option("--seconds", type=click.FloatRange(min=0), metavar="S", help="End after so long.")
@options.output_format
def command(settings: Settings, count: int | None, seconds: float | None, output_format: str) -> None:
    """Show denied and logged packets as they come, until interrupted.

    Each with the rule that decided, its file, line and commit. Only one reader at a time sees all of them.
    With --format json, one object a line.
    """
    attributor = Attributor(instance.open_store(settings))
    try:
        for number, event in enumerate(_events(settings, seconds), 1):
            blame = attributor.blame(event.generation, event.rule)
            interface = _interface(event.ifindex)
            if output_format == "json":
                click.echo(json.dumps(event_text.as_object(event, blame, interface), ensure_ascii=False))
            else:
                terminal.say(event_text.line(event, blame, interface), fg=COLORS[event_text.word(event)])
            if number == count:
                return
    except KeyboardInterrupt:
        return


def _events(settings: Settings, seconds: float | None) -> Iterator[Event]:
    until = None if seconds is None else time.monotonic() + seconds
    with instance.open_flows(settings).events() as reader:
        while (left := POLL_S if until is None else until - time.monotonic()) > 0:
            yield from reader.read(min(left, POLL_S))


def _interface(ifindex: int) -> str:
    try:
        return socket.if_indextoname(ifindex)
    except OSError:
        return f"interface {ifindex}"
