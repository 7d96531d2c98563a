"""How a command ends: the one place that maps errors to exit codes and to what the operator reads."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any

import click

from microseg.cli import terminal
from microseg.config import ConfigError
from microseg.diagnostics import summary
from microseg.gitops.errors import GitError
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.errors import (
    ApplyError,
    GuardError,
    NoInterfaceError,
    PolicyError,
    ReconcileError,
)
from microseg.render import as_object, render_text
from microseg.source import SourceError

FORESEEN = (ConfigError, SourceError, GitError, KernelError, ReconcileError, OSError)
"""Whatever may go wrong on a healthy installation; anything else is our mistake and shows its traceback."""


class ExitCode(IntEnum):
    """How the process ends."""

    DONE = 0
    FAILED = 1
    """The policy is wrong, or the apply failed; the old policy is in force."""
    CHANGES = 2
    """There are changes, and --detailed-exitcode was given."""
    REFUSED = 3
    """A guard refused."""
    KERNEL = 4
    """The kernel refused, or this process may not do that."""
    USAGE = 64
    """The command line or a setting is wrong."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141


def exit_code(error: Exception) -> ExitCode:
    """Return how the process ends after a foreseen error."""
    match error:
        case ApplyError(cause=GuardError()):
            return ExitCode.REFUSED
        case ApplyError():
            environmental = isinstance(error.cause, KernelError | PermissionError)
            return ExitCode.KERNEL if environmental else ExitCode.FAILED
        case ConfigError() | NoInterfaceError():
            return ExitCode.USAGE
        case GuardError():
            return ExitCode.REFUSED
        case KernelError() | OSError():
            return ExitCode.KERNEL
        case _:
            return ExitCode.FAILED


class Command(click.Command):
    """A command whose foreseen errors become a message and an exit code, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  click's signature
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except FORESEEN as error:
            report(error, as_json=ctx.params.get("output_format") == "json")
            return exit_code(error)


def report(error: Exception, *, as_json: bool) -> None:
    """Say what happened, what stands and what to type: as text on standard error, or as JSON."""
    if as_json:
        click.echo(json.dumps({"error": error_object(error)}, indent=2, ensure_ascii=False))
        return
    if isinstance(error, PolicyError):
        color = terminal.colors(terminal.Stream.ERROR)
        text = render_text(error.diagnostics, error.sources, color=color)
        click.echo(f"{text}\n{summary(error.diagnostics)}", err=True, color=color)
    terminal.fail(message_of(error))
    for line in _details(error):
        click.echo(line, err=True)
    for label, text in (("stands", stands_of(error)), ("try", advice_of(error))):
        if text:
            terminal.remark(label, text)


def error_object(error: Exception) -> dict[str, Any]:
    """Return an error for JSON."""
    diagnostics = error.diagnostics if isinstance(error, PolicyError) else ()
    return {
        "kind": type(error).__name__,
        "message": message_of(error),
        "stands": stands_of(error),
        "advice": advice_of(error),
        "details": _details(error),
        "diagnostics": [as_object(diagnostic) for diagnostic in diagnostics],
    }


def message_of(error: Exception) -> str:
    """Return what happened, in one line."""
    if isinstance(error, OSError) and not isinstance(error, KernelError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    if isinstance(error, PolicyError):
        return "the policy is wrong; nothing was changed"
    return str(error)


def stands_of(error: Exception) -> str:
    """Return what is in force now; empty when it wasn't looked at, as of commands that need no kernel."""
    return error.stands if isinstance(error, ReconcileError) else ""


def advice_of(error: Exception) -> str:
    """Return what to type next; may be empty."""
    match error:
        case PermissionError():
            return "run it as root, such as with sudo"
        case PolicyError():
            codes = sorted({diagnostic.code.value for diagnostic in error.diagnostics if diagnostic.is_error})
            return f"microseg explain {codes[0]}" if codes else ""
        case ConfigError() | GitError() | KernelError() | ReconcileError():
            return error.advice
        case _:
            return ""


def _details(error: Exception) -> list[str]:
    """Return the kernel's or compiler's own words, and what could not be taken back."""
    lines = []
    cause = error.cause if isinstance(error, ApplyError) else error
    if isinstance(cause, KernelError) and cause.log:
        lines += [f"  | {line}" for line in cause.log.rstrip().splitlines()]
    if isinstance(error, ApplyError):
        lines += [f"  could not be taken back: {leftover}" for leftover in error.leftovers]
    return lines
