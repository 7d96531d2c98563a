"""What `git ls-tree -r -z` lists, read as it comes.

A small repository can list without end: a tree whose entries are one and the same tree, ten levels of ten. So
reading stops where no honest policy directory is.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import IO, NamedTuple

from microseg.gitops.errors import TooManyFilesError

MAX_FILES = 50_000
"""Files of a policy directory, lists of addresses included."""

MAX_PATH_BYTES = 4096
"""As PATH_MAX in Linux."""

_CHUNK = 1 << 16


class EntryKind(Enum):
    """What a tree entry is; the value is its mode in git."""

    FILE = "100644"
    EXECUTABLE = "100755"
    LINK = "120000"
    SUBMODULE = "160000"


class Entry(NamedTuple):
    """A file, a link or a submodule of a tree."""

    kind: EntryKind
    name: str
    """The object's name, in hexadecimal."""


def read_listing(listing: IO[bytes]) -> dict[str, Entry]:
    """Return the entries by path; names that aren't UTF-8 survive.

    Raises:
        TooManyFilesError: there are more than MAX_FILES, or a path is longer than any file's can be.

    """
    entries: dict[str, Entry] = {}
    rest = b""
    while chunk := listing.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\0")
        for line in lines:
            described, _, path = line.partition(b"\t")
            mode, _, name = described.split(b" ")
            entries[os.fsdecode(path)] = Entry(EntryKind(mode.decode()), name.decode())
        if len(entries) > MAX_FILES or len(rest) > MAX_PATH_BYTES:
            raise TooManyFilesError(
                f"there are more than {MAX_FILES} policy files, or paths beyond {MAX_PATH_BYTES} bytes",
                advice="keep what is no policy elsewhere",
            )
    return entries
