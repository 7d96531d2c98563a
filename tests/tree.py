"""The repository as git tracks it, for the tests that hold it to its word."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@cache
def tracked() -> tuple[Path, ...]:
    """Return the tracked paths that are there as regular files, relative to the root."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    paths = (Path(name) for name in listing.stdout.split("\0") if name)
    return tuple(path for path in paths if (ROOT / path).is_file() and not (ROOT / path).is_symlink())


def tracked_with(*suffixes: str) -> list[Path]:
    """Return the tracked paths with one of these suffixes."""
    return [path for path in tracked() if path.suffix in suffixes]


def text_of(path: Path) -> str:
    """Return the text of a tracked file."""
    return (ROOT / path).read_text(encoding="utf-8")
