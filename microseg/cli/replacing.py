"""Writing policy files back."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file, or what its link leads to, in one step: nobody reads half of it."""
    real = path.resolve()
    following = real.with_name(f".{real.name}.new")
    following.write_bytes(content)
    shutil.copymode(real, following)
    following.replace(real)
