"""Git's hooks in a repository of policies: putting them in, taking them out, never touching somebody else's.

A hook of ours is a script of three lines with a checksum in it, so that one which somebody has changed since
counts as theirs.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from microseg.gitops.command import git
from microseg.gitops.errors import ForeignHookError, GitError, NotARepositoryError

HOOK_MODE = 0o755
MARK = "# microseg hook"


class HookName(Enum):
    """When git asks; the value is git's name."""

    PRE_COMMIT = "pre-commit"
    PRE_PUSH = "pre-push"
    PRE_RECEIVE = "pre-receive"


class HookState(Enum):
    """Whose script there is; the value is the word that is shown."""

    ABSENT = "not installed"
    OURS = "installed"
    FOREIGN = "somebody else's"


@dataclass(frozen=True, slots=True)
class Repository:
    """Where hooks are.

    Attributes:
        folder: of the hooks; need not exist.
        bare: it has no work tree, so nobody commits in it.

    """

    folder: Path
    bare: bool

    def default_hooks(self) -> tuple[HookName, ...]:
        """Return what is installed when nobody says: where people push to, or where they commit."""
        if self.bare:
            return (HookName.PRE_RECEIVE,)
        return (HookName.PRE_COMMIT, HookName.PRE_PUSH)


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook of a repository."""

    name: HookName
    path: Path
    state: HookState


def find_repository(start: Path) -> Repository:
    """Return where git looks for hooks: core.hooksPath, else the hooks all worktrees share.

    Raises:
        NotARepositoryError: start isn't in a repository.
        GitError: git can't say, or its hooks are those of every repository of this user or host.

    """
    try:
        words = ("rev-parse", "--path-format=absolute", "--is-bare-repository", "--git-path", "hooks")
        answer = git(start, *words)
    except GitError as error:
        if "not a git repository" in error.message:
            raise NotARepositoryError(
                f"{start} is not in a git repository", advice=f"git init {start}"
            ) from error
        raise
    bare, _, folder = (answer or "").partition("\n")
    path = _own_to_repository(start, Path(folder))
    return Repository(path, bare == "true")


def _own_to_repository(start: Path, folder: Path) -> Path:
    """Return the folder; raises GitError when core.hooksPath is set for more than this repository."""
    setting = git(start, "config", "--show-scope", "--get", "core.hooksPath", fine=(0, 1))
    scope = (setting or "").partition("\t")[0]
    if scope not in ("", "local", "worktree"):
        raise GitError(
            f"core.hooksPath is set in the {scope} configuration of git, so {folder} holds the hooks "
            "of every repository; nothing was written",
            advice="git config core.hooksPath .git/hooks gives this repository hooks of its own",
        )
    return folder


def list_hooks(repository: Repository) -> tuple[Hook, ...]:
    """Return the state of every hook we know."""
    return tuple(_look(repository, name) for name in HookName)


def install(repository: Repository, names: tuple[HookName, ...], program: tuple[str, ...]) -> list[Hook]:
    """Write hooks, all of them or none; return those that are new or differ from before.

    Args:
        repository: where.
        names: which.
        program: the command line a hook ends with; the hook's name is put behind it.

    Raises:
        ForeignHookError: there is a hook of somebody else.
        OSError: the folder can't be written.

    """
    hooks = [_look(repository, name) for name in names]
    for hook in hooks:
        if hook.state is HookState.FOREIGN:
            line = shlex.join([*program, hook.name.value])
            raise ForeignHookError(
                f"{hook.path} is there already and is not ours; nothing was written",
                advice=f'add this line to it: {line} "$@" || exit 1',
            )
    repository.folder.mkdir(parents=True, exist_ok=True)
    written = []
    for hook in hooks:
        script = _script(hook.name, program)
        if hook.state is HookState.OURS:
            if hook.path.read_bytes() == script and os.access(hook.path, os.X_OK):
                continue
            hook.path.unlink()
        _write_new(hook.path, script)
        written.append(Hook(hook.name, hook.path, HookState.OURS))
    return written


def uninstall(repository: Repository, names: tuple[HookName, ...]) -> list[Hook]:
    """Remove our hooks and return which there were; those of others stay. Raises OSError."""
    ours = [hook for hook in (_look(repository, name) for name in names) if hook.state is HookState.OURS]
    for hook in ours:
        hook.path.unlink()
    return ours


def _look(repository: Repository, name: HookName) -> Hook:
    path = repository.folder / name.value
    if not os.path.lexists(path):
        return Hook(name, path, HookState.ABSENT)
    ours = path.is_file() and not path.is_symlink() and _is_ours(path.read_bytes())
    return Hook(name, path, HookState.OURS if ours else HookState.FOREIGN)


def _script(name: HookName, program: tuple[str, ...]) -> bytes:
    command = f'exec {shlex.join([*program, name.value])} "$@"\n'.encode()
    return _head(command) + command


def _head(command: bytes) -> bytes:
    checksum = hashlib.sha256(command).hexdigest()[:16]
    return f"#!/bin/sh\n{MARK} {checksum}; microseg hooks uninstall removes it\n".encode()


def _is_ours(content: bytes) -> bool:
    command = b"".join(content.splitlines(keepends=True)[2:])
    return content == _head(command) + command


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that must not be there; no link is followed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, HOOK_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), HOOK_MODE)
