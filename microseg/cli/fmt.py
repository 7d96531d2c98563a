"""microseg fmt: policy files in their one format. No root, no kernel."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from microseg.cli import options, policy_input, terminal
from microseg.cli.clock import now
from microseg.cli.exits import Command, ExitCode
from microseg.cli.replacing import replace_file
from microseg.diagnostics import summary
from microseg.lang.files import parse_tree
from microseg.lang.printer import print_file
from microseg.render import render_text

if TYPE_CHECKING:
    from microseg.config import Settings
    from microseg.lang.files import Parsed
    from microseg.source import SourceTree


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A file and what it should be; equal when there's nothing to do."""

    path: str
    before: bytes
    after: bytes

    @property
    def is_needed(self) -> bool:
        """Whether the file isn't in its format yet."""
        return self.before != self.after

    def difference(self) -> str:
        """Return what would change, as a unified diff."""
        before, after = (text.decode().splitlines(keepends=True) for text in (self.before, self.after))
        return "".join(difflib.unified_diff(before, after, self.path, f"{self.path} (formatted)"))


@click.command("fmt", cls=Command)
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@options.with_settings(*options.POLICY)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 when a file isn't in its format.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@options.output_format
def command(
    settings: Settings, directory: Path | None, output_format: str, *, check: bool, diff: bool
) -> ExitCode:
    """Put policy files into their one format.

    Words, order, comments and meaning stay as they are; before anything is written it is proved that every
    packet gets what it got. A file with a syntax error is left alone, and makes the exit code 1. Needs no
    root and no kernel.
    """
    folder = directory or settings.policy_dir
    tree = policy_input.files(folder).tree
    parsed = parse_tree(tree)
    broken = _broken(parsed)
    rewrites = [each for each in _rewrites(tree, parsed, broken) if each.is_needed]
    if rewrites and not check and not diff:
        _write(folder, tree, rewrites)
    if output_format == "json":
        terminal.dump({"unformatted": [each.path for each in rewrites], "broken": sorted(broken)})
    else:
        _show(rewrites, written=not (check or diff), diff=diff)
        _show_broken(parsed, broken)
    return ExitCode.FAILED if broken or (check and rewrites) else ExitCode.DONE


def _write(folder: Path, tree: SourceTree, rewrites: list[Rewrite]) -> None:
    """Write the files, once it's proved that for every packet the policy does what it did."""
    from microseg.editing import meaning  # noqa: PLC0415  nothing else here needs the analysis

    changed = {each.path: each.after for each in rewrites}
    assert meaning.is_kept_by(changed, tree, now().date()), (
        "the formatted policy would do something else: a fault of microseg; nothing was written"
    )
    for path, content in changed.items():
        replace_file(folder / path, content)


def _broken(parsed: Parsed) -> set[str]:
    """Return the files that can't be printed: unreadable, or with syntax errors."""
    wrong = {diagnostic.span.path for diagnostic in parsed.diagnostics if diagnostic.is_error}
    return wrong | {file.path for file in parsed.files if file.broken}


def _rewrites(tree: SourceTree, parsed: Parsed, broken: set[str]) -> list[Rewrite]:
    return [
        Rewrite(file.path, tree.read(file.path), print_file(file).encode())
        for file in parsed.files
        if file.path not in broken
    ]


def _show(rewrites: list[Rewrite], *, written: bool, diff: bool) -> None:
    for each in rewrites:
        if diff:
            terminal.say(each.difference().rstrip("\n"))
        else:
            terminal.say(f"{'formatted' if written else 'not formatted'}: {each.path}")
    if not rewrites:
        terminal.say("Nothing to format.")
    elif not written and not diff:
        terminal.remark("try", "microseg fmt")


def _show_broken(parsed: Parsed, broken: set[str]) -> None:
    found = [diagnostic for diagnostic in parsed.diagnostics if diagnostic.is_error]
    if not broken:
        return
    color = terminal.colors(terminal.Stream.ERROR)
    click.echo(render_text(found, parsed.texts, color=color), err=True, color=color)
    terminal.fail(f"{summary(found)}: {', '.join(sorted(broken))} left as they are")
