"""BPF file systems of the tests' own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def bpf_file_system(folder: Path) -> Iterator[Path]:
    """Mount one in a folder, that nobody else sees the inside of; it is gone behind the context."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
