"""Writing files that are whole after a crash: the old content or the new, never a part."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

DIRECTORY_MODE = 0o750
FILE_MODE = 0o640
TEMPORARY_PREFIX = ".new-"


def write(path: Path, content: bytes) -> None:
    """Replace a file: temporary file, fsync, rename, fsync of the directory. Raises OSError."""
    publish(draft(path, content), path)


def replace(path: Path, content: bytes) -> None:
    """Replace a file in one step, which a killed process can't leave half done. Raises OSError."""
    _rename(draft(path, content, sync=False), path)


def publish(temporary: Path, path: Path) -> None:
    """Put a draft in its place: rename, fsync of the directory. Raises OSError."""
    _rename(temporary, path)
    sync_directory(path.parent)


def draft(path: Path, content: bytes, *, sync: bool = True) -> Path:
    """Write what is to replace a file under another name, which is returned. Raises OSError."""
    make_directory(path.parent)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY_PREFIX)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), FILE_MODE)
            if sync:
                os.fsync(file.fileno())
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return Path(temporary)


def _rename(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def append_line(path: Path, line: bytes) -> None:
    """Add a line and wait until it is on the disk. A line cut short by a crash before it is ended first."""
    make_directory(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
        file.write((b"\n" if torn else b"") + line + b"\n")
        os.fsync(file.fileno())
    if size == 0:
        sync_directory(path.parent)


def make_directory(path: Path) -> None:
    """Make a directory and its parents; what is new is for root and its group only."""
    if not path.parent.exists():
        make_directory(path.parent)
    path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(path: Path) -> None:
    """Remove what a killed writer left. Only under the lock."""
    for leftover in path.glob(f"{TEMPORARY_PREFIX}*"):
        leftover.unlink(missing_ok=True)
