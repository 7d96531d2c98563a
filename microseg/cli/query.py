"""microseg query: what the policy decides about some packets, and through which rules. No root, no kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from microseg.analysis import regions
from microseg.analysis.query import query, within
from microseg.cli import options, policy_input, query_text, terminal
from microseg.cli.exits import Command
from microseg.cli.query_text import Reply
from microseg.compiler.packet_words import PATH, PacketTextError, read_flow
from microseg.reconcile.errors import PolicyError
from microseg.render import render_text

if TYPE_CHECKING:
    from microseg.config import Settings
    from microseg.policy.rules import Expectation
    from microseg.source import SourceTree


@click.command("query", cls=Command, context_settings={"ignore_unknown_options": True})  # such as ->
@click.argument("packets", nargs=-1, required=True)
@options.with_settings(*options.POLICY)
@options.revision
@options.audit
@options.output_format
def command(
    settings: Settings, packets: tuple[str, ...], rev: str | None, output_format: str, *, audit: bool
) -> None:
    """Tell what the policy decides about some packets, exactly, and by which rules.

    PACKETS are in the language's words, quoted: 'web -> db', '10.1.1.5 -> 10.1.3.10 : tcp/5432'. They are
    first packets of connections, from every source port unless one is named. Needs neither root nor a kernel.
    """
    unknown = [word for word in packets if word.startswith("--")]
    if unknown:
        raise click.NoSuchOption(unknown[0])
    text = " ".join(" ".join(packets).split())
    with policy_input.chosen(settings.policy_dir, rev) as given:
        compilation = given.examine(audit=audit).compilation
        if compilation.image is None:
            raise PolicyError(compilation.diagnostics, compilation.sources)
        asked = _read(text, given.tree)
    region = regions.of_expectation(asked)
    answers = tuple(query(compilation.ruleset, region))
    reply = Reply(text, asked, within(compilation.ruleset, region), answers, given.revision)
    if output_format == "json":
        terminal.dump(query_text.as_object(reply))
    else:
        query_text.show(reply)


def _read(text: str, tree: SourceTree) -> Expectation:
    try:
        return read_flow(text, tree)
    except PacketTextError as error:
        shown = render_text(error.diagnostics, {PATH: text}) if error.diagnostics else ""
        words = "\n".join(filter(None, (f"{error.message}.", error.advice, shown.rstrip())))
        raise click.UsageError(words) from error
