"""The files of a policy directory as they are, all read at one moment, or not at all."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from microseg.source import DirectoryTree, MemoryTree, SourceError, is_policy_path

if TYPE_CHECKING:
    from microseg.source import SourceTree

STALE_LOCK_S = 60.0
"""Age from which a lock of git's index counts as left behind by a killed git."""

Signature = tuple[tuple[str, int, int, int, int], ...]


class UnsettledError(Exception):
    """Files change while they are read; look again in a moment."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All files of one moment, and a hash of their names and contents."""

    tree: SourceTree
    digest: str


def signature(root: Path) -> Signature:
    """Return what changes whenever a file does: path, inode, size and both times; hidden files don't count.

    Raises SourceError when a folder can't be listed.
    """
    found = []
    for path in _paths(root):
        with suppress(FileNotFoundError):
            state = (root / path).lstat()
            found.append((path, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
    return tuple(found)


def take(root: Path, git_dir: Path | None) -> Snapshot:
    """Read all files.

    Args:
        root: the policy directory.
        git_dir: of its repository, whose lock says that a checkout is going on; None: outside git.

    Raises:
        UnsettledError: somebody is just writing.
        SourceError: the directory can't be read.

    """
    if git_dir and _is_checking_out(git_dir):
        raise UnsettledError
    before = signature(root)
    contents, refused = _read_all(root, before)
    if signature(root) != before or (git_dir and _is_checking_out(git_dir)):
        raise UnsettledError
    if refused:
        raise refused[0]
    digest = hashlib.sha256()
    for path, content in sorted(contents.items()):
        digest.update(hashlib.sha256(os.fsencode(path)).digest() + hashlib.sha256(content).digest())
    return Snapshot(MemoryTree(contents), digest.hexdigest())


def _read_all(root: Path, files: Signature) -> tuple[dict[str, bytes], list[SourceError]]:
    """Return the contents, and what went wrong with policy files.

    Another file that can't be read (a broken link, a pipe) is an error only when the policy names it.
    """
    directory = DirectoryTree(root)
    contents: dict[str, bytes] = {}
    refused: list[SourceError] = []
    for path, *_ in files:
        try:
            contents[path] = directory.read(path)
        except SourceError as error:
            if is_policy_path(path):
                refused.append(error)
    return contents, refused


def _paths(root: Path) -> list[str]:
    found: list[str] = []
    for folder, folders, names in os.walk(root, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(folder).relative_to(root)
        found.extend((relative / name).as_posix() for name in names if not name.startswith("."))
    return sorted(found)


def _is_checking_out(git_dir: Path) -> bool:
    try:
        return time.time() - (git_dir / "index.lock").stat().st_mtime < STALE_LOCK_S
    except FileNotFoundError:
        return False


def _raise(error: OSError) -> None:
    raise SourceError(str(error.filename), error.strerror or str(error)) from error
