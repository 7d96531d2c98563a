"""Where policy text comes from, and how a place in it is named."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

POLICY_SUFFIX = ".mseg"
MAX_FILE_BYTES = 32 * 1024 * 1024
"""Largest file that is read: an address list of about two million lines."""


class Span(NamedTuple):
    """A stretch of text in one file. Lines and columns count characters from 1; the end is exclusive.

    Every word and every node has one, so it is the kind of object that is made the fastest.
    """

    path: str
    line: int
    column: int
    end_line: int
    end_column: int

    @classmethod
    def of_file(cls, path: str) -> Span:
        """Return the empty stretch at the start of a file, for what concerns the file as a whole."""
        return cls(path, 1, 1, 1, 1)

    def to(self, last: Span) -> Span:
        """Return the stretch from the start of this one to the end of a later one of the same file."""
        return Span(self.path, self.line, self.column, last.end_line, last.end_column)

    def behind(self) -> Span:
        """Return the empty stretch right behind this one."""
        return Span(self.path, self.end_line, self.end_column, self.end_line, self.end_column)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class SourceError(Exception):
    """A file of the policy directory can't be read.

    Attributes:
        path: relative to the policy directory, as it was asked for.
        reason: why not, as half a sentence.

    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class SourceTree(Protocol):
    """A policy directory: on disk, in memory, or in one commit of a repository."""

    def policy_paths(self) -> list[str]:
        """Return the relative paths of all policy files, sorted; hidden files and folders are skipped."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file's content; raises SourceError for whatever isn't a file inside the directory."""
        ...


@runtime_checkable
class Versioned(Protocol):
    """A policy directory that can tell, without reading a file, that it is as before."""

    def version(self, path: str) -> str:
        """Return what is the same only as long as the file's content is; empty for what can't be read."""
        ...


def normalize_path(path: str) -> str:
    """Return a path relative to the policy directory in its one spelling; raises SourceError outside it."""
    if not path or "\0" in path:
        raise SourceError(path, "not a file name")
    if path.startswith("/"):
        raise SourceError(path, "outside the policy directory (a path here is relative to that directory)")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise SourceError(path, "outside the policy directory")
    if not parts:
        raise SourceError(path, "not a file name")
    return "/".join(parts)


def is_policy_path(path: str) -> bool:
    """Say whether a normalized path names a policy file: `*.mseg`, no part of it hidden."""
    return path.endswith(POLICY_SUFFIX) and not any(part.startswith(".") for part in path.split("/"))


class DirectoryTree:
    """A policy directory on disk. Folders behind symbolic links are not entered."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def policy_paths(self) -> list[str]:
        """Return the paths of all policy files; raises SourceError when a folder can't be listed."""
        found: list[str] = []
        for folder, folders, names in os.walk(self.root, onerror=_raise_source_error):
            folders[:] = [name for name in folders if not name.startswith(".")]
            relative = Path(folder).relative_to(self.root)
            paths = ((relative / name).as_posix() for name in names)
            found.extend(path for path in paths if is_policy_path(path))
        return sorted(found)

    def read(self, path: str) -> bytes:
        """Return a file's content; a symbolic link is followed when it stays inside the directory."""
        relative = normalize_path(path)
        try:
            root = self.root.resolve()
            real = (root / relative).resolve(strict=True)
            if not real.is_relative_to(root):
                raise SourceError(path, "a symbolic link that leads outside the policy directory")
            return _read_regular(path, real)
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links
            raise SourceError(path, _reason(error)) from error


class MemoryTree:
    """A policy directory in memory, for tests and for text that was never written down."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = {normalize_path(path): content for path, content in files.items()}

    def policy_paths(self) -> list[str]:
        """Return the paths of all policy files."""
        return sorted(path for path in self._files if is_policy_path(path))

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        relative = normalize_path(path)
        if relative not in self._files:
            raise SourceError(path, "no such file")
        return checked_size(path, self._files[relative])

    def version(self, path: str) -> str:
        """Return a hash of a file's content."""
        content = self._files.get(path)
        return "" if content is None else hashlib.sha256(content).hexdigest()


def checked_size(path: str, content: bytes) -> bytes:
    """Return the content; raises SourceError when it is longer than MAX_FILE_BYTES."""
    check_size(path, len(content))
    return content


def check_size(path: str, size: int) -> None:
    """Refuse a file of so many bytes when that is more than MAX_FILE_BYTES; raises SourceError."""
    if size > MAX_FILE_BYTES:
        raise SourceError(path, f"larger than {MAX_FILE_BYTES // 1024 // 1024} MiB")


def _read_regular(path: str, real: Path) -> bytes:
    # O_NONBLOCK: opening a pipe that nobody writes to must not hang.
    descriptor = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SourceError(path, "not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return checked_size(path, file.read(MAX_FILE_BYTES + 1))
    finally:
        os.close(descriptor)


def _reason(error: OSError | RuntimeError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return "too many levels of symbolic links"


def _raise_source_error(error: OSError) -> None:
    raise SourceError(str(error.filename), _reason(error)) from error
