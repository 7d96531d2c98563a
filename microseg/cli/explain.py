"""microseg explain: the page of a diagnostic."""

from __future__ import annotations

import difflib

import click
from click.shell_completion import CompletionItem

from microseg.cli.exits import Command
from microseg.cli.pages import page_of
from microseg.diagnostics import Code


def _complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the codes that begin like this, each with its title."""
    return [
        CompletionItem(code.value, help=code.title)
        for code in Code
        if code.value.startswith(incomplete.upper())
    ]


@click.command("explain", cls=Command)
@click.argument("code", required=False, shell_complete=_complete)
def command(code: str | None) -> None:
    """Explain a diagnostic, such as MS301; without a code, list them all."""
    if code is None:
        for each in Code:
            click.echo(f"{each.value}  {each.severity.value:<8} {each.title}")
        return
    known = _find(code)
    page = page_of(known).rstrip()
    click.echo(page or f"{known.value}: {known.title} ({known.severity.value})")


def _find(text: str) -> Code:
    codes = {code.value: code for code in Code}
    if text.upper() in codes:
        return codes[text.upper()]
    near = difflib.get_close_matches(text.upper(), codes, n=1)
    hint = f"Did you mean {near[0]}?" if near else "microseg explain lists them all."
    raise click.UsageError(f"There is no diagnostic {text}. {hint}")
