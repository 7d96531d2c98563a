"""microseg lsp: the language server, for editors. No root, no kernel."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from microseg.cli import options, terminal
from microseg.cli.exits import Command, ExitCode
from microseg.cli.version import program_version

if TYPE_CHECKING:
    from microseg.config import Settings


@click.command("lsp", cls=Command)
@options.with_settings()
def command(settings: Settings) -> ExitCode:
    """Speak the Language Server Protocol, for editors.

    On standard input and output; an editor starts it. The policy directory of a file is the folder policies.d
    around it, else the editor's workspace.
    """
    if find_spec("pygls") is None:
        terminal.fail("the language server needs the package pygls, which is not installed")
        terminal.remark("try", "pip install 'microseg[lsp]'")
        return ExitCode.USAGE
    from microseg.lsp.server import serve  # noqa: PLC0415  optional, and nothing else needs it

    serve(program_version(), settings.lint)
    return ExitCode.DONE
