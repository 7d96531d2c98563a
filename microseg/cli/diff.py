"""microseg diff: what the step from one commit to another does to traffic. No root, no kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from microseg.cli import comparison, options, policy_input
from microseg.cli.exits import Command, ExitCode

if TYPE_CHECKING:
    from microseg.config import Settings

_DOTS = ".."
_HEAD = "HEAD"


@click.command("diff", cls=Command)
@click.argument("revisions", metavar="REV1[..REV2]")
@options.with_settings(*options.POLICY)
@options.audit
@options.comparing
@options.output_format_with("markdown")
def command(
    settings: Settings,
    revisions: str,
    output_format: str,
    *,
    audit: bool,
    entries: bool,
    detailed_exitcode: bool,
) -> ExitCode:
    """Show what the policy of a commit does to traffic that the one of another didn't.

    Exactly, for every packet there is: REV2 compared with REV1. Without REV2: the files as they are. Needs
    neither root nor a kernel.
    """
    before, after = _split(revisions)
    with (
        policy_input.chosen(settings.policy_dir, after) as given,
        policy_input.committed(settings.policy_dir, before) as base,
    ):
        found = comparison.of_revisions(settings, base, given, audit=audit)
    comparison.show(found, output_format, entries=entries)
    return found.exit_code(detailed=detailed_exitcode)


def _split(revisions: str) -> tuple[str, str | None]:
    """Return both ends; as in git, an end that isn't named is HEAD."""
    before, dots, after = revisions.partition(_DOTS)
    if after.startswith("."):
        raise click.UsageError("REV1...REV2 isn't understood; give both commits: REV1..REV2")
    return before or _HEAD, (after or _HEAD) if dots else None
