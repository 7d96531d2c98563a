"""Manual pages and shell completion for packagers: `python -m microseg.cli.manual FOLDER`, or `make man`.

Both are made of the commands themselves, so they can't say anything else than `--help`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from microseg.cli.main import COMMANDS, PROGRAM, main
from microseg.cli.version import program_version

if TYPE_CHECKING:
    from collections.abc import Iterator

SHELLS = {"bash": "bash-completion/completions/microseg", "zsh": "zsh/site-functions/_microseg",
          "fish": "fish/vendor_completions.d/microseg.fish"}  # fmt: skip
"""Where each shell looks, under share/."""

EXIT_STATUS = {
    "0": "done; also: there was nothing to do",
    "1": "the policy is wrong, a policy test failed, or the apply failed; the old policy is in force",
    "2": "there are changes, and --detailed-exitcode was given",
    "3": "a guard refused",
    "4": "the kernel refused, or this process may not do that",
    "64": "the command line or a setting is wrong",
}
FILES = {
    "/etc/microseg/microseg.toml": "settings",
    "/etc/microseg/policies.d": "the policy",
    "/var/lib/microseg": "what was applied, when and by whom",
    "/run/microseg": "the lock",
    "/sys/fs/bpf/microseg": "programs, maps and links",
}


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page: of the program, its commands and their subcommands."""
    yield PROGRAM, _page(main, PROGRAM)
    for name in sorted(COMMANDS):
        command: click.Command = import_module(f"microseg.cli.{name}").command
        yield f"{PROGRAM}-{name}", _page(command, f"{PROGRAM} {name}")
        if isinstance(command, click.Group):
            for below, subcommand in sorted(command.commands.items()):
                yield f"{PROGRAM}-{name}-{below}", _page(subcommand, f"{PROGRAM} {name} {below}")


def write(folder: Path) -> None:
    """Write pages and completions as they are installed under share/; raises OSError."""
    for name, text in pages():
        page = folder / "man" / "man1" / f"{name}.1"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    for shell, path in SHELLS.items():
        kind = get_completion_class(shell)
        assert kind is not None, "click knows these shells"
        completion = kind(main, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(completion.source(), encoding="utf-8")


def _page(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name)
    lines = [f'.TH "{name.replace(" ", "-").upper()}" 1 "" "{PROGRAM} {program_version()}" "{PROGRAM}"']
    lines += [".SH NAME", _text(f"{name.replace(' ', '-')} - {command.get_short_help_str(200)}")]
    lines += [".SH SYNOPSIS", f".B {_text(name)}", _text(" ".join(command.collect_usage_pieces(context)))]
    lines += [".SH DESCRIPTION", *_paragraphs(command.help or "")]
    lines += _section("OPTIONS", _options(command, context))
    if isinstance(command, click.Group):
        below = COMMANDS if command is main else _helps(command)
        lines += _section(
            "COMMANDS", {f"\\fB{_text(word)}\\fR": _text(below[word]) for word in sorted(below)}
        )
    lines += _section("EXIT STATUS", {code: _text(meaning) for code, meaning in EXIT_STATUS.items()})
    lines += _section("FILES", {f"\\fI{_text(path)}\\fR": meaning for path, meaning in FILES.items()})
    if command is not main:
        lines += [".SH SEE ALSO", ".BR microseg (1)"]
    return "\n".join(lines) + "\n"


def _helps(group: click.Group) -> dict[str, str]:
    return {name: below.get_short_help_str(200) for name, below in group.commands.items()}


def _options(command: click.Command, context: click.Context) -> dict[str, str]:
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    return {f"\\fB{_text(record[0])}\\fR": _text(" ".join(record[1].split())) for record in records if record}


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _section(title: str, rows: dict[str, str]) -> Iterator[str]:
    if rows:
        yield f".SH {title}"
    for term, meaning in rows.items():
        yield from (".TP", term, meaning)


def _text(text: str) -> str:
    """Return text with what means something to roff taken away."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    write(Path(sys.argv[1]))
