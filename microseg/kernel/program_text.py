"""The C program as one text.

bcc rewrites map accesses in the main file only, so local includes are inlined; #line directives keep the
compiler's messages at the real files and lines.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_INCLUDE = re.compile(r'#include "([^"]+)"')

BPF_DIRECTORY = Path(__file__).resolve().parent.parent / "_bpf"
"""The C sources, in the package by a symbolic link to bpf/."""


def program_text(directory: Path, main: str) -> str:
    """Return the text of directory/main with each of its local includes inlined once."""
    return "\n".join(_inline(directory, main, set())) + "\n"


def build_of(texts: Iterable[str], defines: Mapping[str, int]) -> str:
    """Return what tells builds apart, as twelve hexadecimal digits."""
    parts = [*texts, *(f"{name}={value}" for name, value in sorted(defines.items()))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _inline(directory: Path, name: str, seen: set[str]) -> list[str]:
    seen.add(name)
    lines = [f'#line 1 "{name}"']
    for number, line in enumerate((directory / name).read_text(encoding="utf-8").splitlines(), 1):
        match = _INCLUDE.fullmatch(line.strip())
        if match is None:
            lines.append(line)
            continue
        if match[1] not in seen:
            lines += _inline(directory, match[1], seen)
        lines.append(f'#line {number + 1} "{name}"')
    return lines
