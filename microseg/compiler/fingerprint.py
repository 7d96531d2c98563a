"""Which compiler this is: two of the same fingerprint make the same bytes of the same text (I5)."""

from __future__ import annotations

import hashlib
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_MADE_OF = (
    "_grammar/*.lark",
    "lang/*.py",
    "policy/*.py",
    "compiler/*.py",
    "analysis/*.py",
    "abi.py",
    "source.py",
)


def fingerprint() -> str:
    """Return a digest of the sources that text goes through, in hexadecimal."""
    sha = hashlib.sha256()
    for pattern in _MADE_OF:
        for path in sorted(_PACKAGE.glob(pattern)):
            content = path.read_bytes()
            sha.update(f"{path.relative_to(_PACKAGE).as_posix()} {len(content)}\n".encode() + content)
    return sha.hexdigest()
