"""Archives in the format that the kernel unpacks as its first root file system.

Layout: Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's source ("newc").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FOLDER = 0o040755
PROGRAM = 0o100755
_END = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder: path without a leading slash, mode with the type bits."""

    path: str
    contents: bytes = b""
    mode: int = PROGRAM


def archive(entries: Iterable[Entry]) -> bytes:
    """Return an archive of the entries, each folder before what lies in it."""
    listed = [*entries, Entry(_END, mode=0)]
    return b"".join(_encode(entry, inode) for inode, entry in enumerate(listed, start=1))


def _encode(entry: Entry, inode: int) -> bytes:
    name = entry.path.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device (2), device number (2), size of name, no checksum
    fields = (inode, entry.mode, 0, 0, 1, 0, len(entry.contents), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(entry.contents)


def _padded(part: bytes) -> bytes:
    return part + bytes(-len(part) % 4)
