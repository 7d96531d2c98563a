"""microseg hooks: git's hooks in a repository of policies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from microseg.cli import options, terminal
from microseg.cli.exits import Command, ExitCode
from microseg.cli.hook_program import hook_program
from microseg.gitops import hooks, pushes
from microseg.gitops.hooks import HookName

if TYPE_CHECKING:
    from microseg.config import Settings
    from microseg.gitops.hooks import Hook

_NAMES = click.argument("names", nargs=-1, type=click.Choice([name.value for name in HookName]))
_REPOSITORY = click.option(
    "-C",
    "--repository",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Any folder of the repository; by default where you are.",
)
_FOLDER = click.option(
    "--folder", default="policies.d", show_default=True, help="The policy files' place in the repository."
)
_BRANCH = click.option(
    "--branch",
    help="Judge pushes to this branch only. By default pre-push judges all, pre-receive the one HEAD names.",
)


@click.group("hooks")
def command() -> None:
    """Let git refuse commits and pushes whose policy is wrong."""


@command.command("install", cls=Command)
@_NAMES
@_REPOSITORY
@_FOLDER
@_BRANCH
@options.output_format
def install(
    names: tuple[str, ...], repository: Path, folder: str, branch: str | None, output_format: str
) -> None:
    """Install hooks: pre-commit and pre-push, or, in a bare repository, pre-receive.

    A hook that is there already and isn't ours stays as it is, and nothing is installed.
    """
    pushes.folder_in_repository(folder)
    found = hooks.find_repository(repository)
    wanted = tuple(map(HookName, names)) or found.default_hooks()
    written = hooks.install(found, wanted, hook_program(folder, branch))
    _show(written, "installed", output_format, nothing="Nothing changes: these hooks are installed.")


@command.command("uninstall", cls=Command)
@_NAMES
@_REPOSITORY
@options.output_format
def uninstall(names: tuple[str, ...], repository: Path, output_format: str) -> None:
    """Remove our hooks; those of others stay."""
    found = hooks.find_repository(repository)
    removed = hooks.uninstall(found, tuple(map(HookName, names)) or tuple(HookName))
    _show(removed, "removed", output_format, nothing="Nothing changes: no hook of ours is here.")


@command.command("list", cls=Command)
@_REPOSITORY
@options.output_format
def list_(repository: Path, output_format: str) -> None:
    """Show which hooks are installed."""
    found = hooks.list_hooks(hooks.find_repository(repository))
    if output_format == "json":
        terminal.dump({"hooks": [_object(hook, hook.state.value) for hook in found]})
        return
    for hook in found:
        terminal.say(f"{hook.name.value:<13}{hook.state.value:<16}{hook.path}")


@command.command("run", cls=Command)
@click.argument("name", type=click.Choice([name.value for name in HookName]))
@click.argument("from_git", nargs=-1)
@_FOLDER
@_BRANCH
@options.with_settings()
def run(
    settings: Settings, name: str, from_git: tuple[str, ...], folder: str, branch: str | None
) -> ExitCode:
    """Do what an installed hook does; git calls it. For hooks of your own that call this too."""
    from microseg.cli import hook_judging  # noqa: PLC0415  the other commands compile nothing

    del from_git
    here, inside = Path.cwd(), pushes.folder_in_repository(folder)
    match HookName(name):
        case HookName.PRE_COMMIT:
            candidates = pushes.staged(here, inside)
        case HookName.PRE_PUSH:
            candidates = pushes.pushed(sys.stdin, branch)
        case HookName.PRE_RECEIVE:
            candidates = pushes.received(sys.stdin, branch or pushes.head_branch(here))
    verdicts = [hook_judging.is_good(here, inside, each, settings.lint) for each in candidates]
    return ExitCode.DONE if all(verdicts) else ExitCode.FAILED


def _show(changed: list[Hook], done: str, output_format: str, *, nothing: str) -> None:
    if output_format == "json":
        terminal.dump({"hooks": [_object(hook, done) for hook in changed]})
        return
    for hook in changed:
        terminal.say(f"{done} {hook.path}")
    if not changed:
        terminal.say(nothing)


def _object(hook: Hook, state: str) -> dict[str, str]:
    return {"name": hook.name.value, "path": str(hook.path), "state": state}
