"""Keeping the parser's tables and syntax trees between runs, in a place nobody else can write to.

They decide what a policy means, so a file that another user could have written is never used. The tables
are kept as JSON, trees as `tree_bytes` writes them: neither can run code. Whatever goes wrong here costs a
few milliseconds and nothing else: no error is ever shown.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_DIGEST_BYTES = 32
_OTHERS_CAN_WRITE = stat.S_IWGRP | stat.S_IWOTH


def folder() -> Path | None:
    """Return the user's cache folder for this program, or None when there is no home."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():
        return base / "microseg"
    try:
        return Path.home() / ".cache" / "microseg"
    except RuntimeError:  # neither HOME nor an entry in passwd
        return None


def load(name: str, *, mark: bool = False) -> bytes | None:
    """Return the kept content of that name, None when there is none, it is damaged or not safely ours.

    Args:
        name: of the file.
        mark: note that it was asked for, which `trim` looks at.

    """
    place = folder()
    if place is None:
        return None
    try:
        if not _is_private(os.lstat(place), stat.S_ISDIR):
            return None
        descriptor = os.open(place / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not _is_private(os.fstat(descriptor), stat.S_ISREG):
                return None
            digest, content = file.read(_DIGEST_BYTES), file.read()
            if mark:
                os.utime(descriptor)
    except OSError:
        return None
    return content if _digest(content) == digest else None


def store(name: str, content: bytes) -> None:
    """Keep content under that name, whole or not at all; does nothing where that isn't possible."""
    place = folder()
    if place is None:
        return
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(os.lstat(place), stat.S_ISDIR):
            return
        descriptor, made = tempfile.mkstemp(dir=place, prefix=f".{name}.")
        temporary = Path(made)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_digest(content) + content)
            temporary.replace(place / name)
        except OSError:
            temporary.unlink()
    except OSError:
        return


def trim(kind: str, most_bytes: int) -> None:
    """Leave so much of the files whose name begins like this; those asked for the longest ago go first."""
    place = folder()
    if place is None:
        return
    try:
        with os.scandir(place) as entries:
            found = [(entry.stat(follow_symlinks=False), entry.path) for entry in entries]
        files = [(status, path) for status, path in found if Path(path).name.startswith(kind)]
        left = sum(status.st_size for status, _ in files)
        for status, path in sorted(files, key=lambda each: each[0].st_mtime_ns):
            if left <= most_bytes:
                return
            Path(path).unlink(missing_ok=True)
            left -= status.st_size
    except OSError:
        return


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _is_private(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Say whether it is of that kind, belongs to the user we act as, and only that user can write to it."""
    ours = status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_CAN_WRITE
    return ours and is_kind(status.st_mode)
