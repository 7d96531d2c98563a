"""microseg trace: what becomes of one packet, and why, by the policy and by the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from microseg.cli import options, policy_input, terminal, trace_sides, trace_text
from microseg.cli.exits import Command, ExitCode
from microseg.compiler.packet_words import PATH, PacketTextError, read_packet
from microseg.policy.frames import UnreadableError, read_frame, write_frame
from microseg.reconcile.errors import PolicyError
from microseg.render import render_text

if TYPE_CHECKING:
    from microseg.config import Settings
    from microseg.policy.packet import Packet
    from microseg.source import SourceTree

SHORTEST_FRAME = 14
"""Bytes of an Ethernet header."""


@click.command("trace", cls=Command, context_settings={"ignore_unknown_options": True})  # such as ->
@click.argument("packet", nargs=-1)
@options.with_settings(*options.POLICY, *options.KERNEL)
@options.revision
@options.audit
@click.option("--frame", "frame_hex", metavar="HEX", help="Take this Ethernet frame instead of a packet.")
@click.option("--no-kernel", is_flag=True, help="Ask the policy only, which needs neither root nor a kernel.")
@options.output_format
def command(
    settings: Settings,
    packet: tuple[str, ...],
    rev: str | None,
    frame_hex: str | None,
    output_format: str,
    *,
    audit: bool,
    no_kernel: bool,
) -> ExitCode:
    """Show what becomes of one packet and why, by policy and kernel side by side.

    PACKET is in the language's words, quoted: 'web-1 -> 10.1.3.10 : tcp/5432 from 40000'. It is the first
    packet of a connection: one that belongs to a session passes without being judged. Nothing is sent.
    Exits with 1 when policy and kernel differ.
    """
    unknown = [word for word in packet if word.startswith("--")]
    if unknown:
        raise click.NoSuchOption(unknown[0])
    if bool(packet) == bool(frame_hex):
        raise click.UsageError("Give one packet: 'SOURCE -> DESTINATION : SERVICE', or --frame HEX.")
    with policy_input.chosen(settings.policy_dir, rev) as given:
        compilation = given.examine(audit=audit).compilation
        if compilation.image is None:
            raise PolicyError(compilation.diagnostics, compilation.sources)
        frame = _bytes(frame_hex) if frame_hex else write_frame(_packet(" ".join(packet), given.tree))
    what, why = _read(frame)
    policy = trace_sides.of_policy(compilation, given.revision, what, why)
    kernel = trace_sides.ask_kernel(settings, frame, policy) if not no_kernel else trace_sides.NOT_ASKED
    comparison = trace_sides.compare(policy, kernel)
    if output_format == "json":
        terminal.dump(trace_text.as_object(frame, policy, kernel, comparison))
    else:
        trace_text.show(frame, policy, kernel, comparison)
    return ExitCode.FAILED if comparison.differ else ExitCode.DONE


def _packet(text: str, tree: SourceTree) -> Packet:
    try:
        packet = read_packet(text, tree)
        write_frame(packet)
    except PacketTextError as error:
        shown = render_text(error.diagnostics, {PATH: " ".join(text.split())}) if error.diagnostics else ""
        words = "\n".join(filter(None, (f"{error.message}.", error.advice, shown.rstrip())))
        raise click.UsageError(words) from error
    except ValueError as error:
        raise click.UsageError(f"{error}") from error
    return packet


def _bytes(frame_hex: str) -> bytes:
    try:
        frame = bytes.fromhex(frame_hex.replace(":", " "))
    except ValueError as error:
        raise click.UsageError(f"--frame: not hexadecimal: {error}") from error
    if len(frame) < SHORTEST_FRAME:
        raise click.UsageError(
            f"--frame: {len(frame)} bytes are no Ethernet frame, which has {SHORTEST_FRAME}"
        )
    return frame


def _read(frame: bytes) -> tuple[Packet | None, str]:
    try:
        return read_frame(frame), ""
    except UnreadableError as error:
        return None, str(error)
