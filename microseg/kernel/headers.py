"""Kernel headers for the compiler: the running kernel's own, or else the newest that are installed.

The programs use UAPI headers only, so those of any recent kernel serve; bcc wants a whole tree all the same.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from microseg.kernel.errors import LoadError

_ARCHITECTURES = {"x86_64": "x86", "aarch64": "arm64"}
_CANDIDATES = ("lib/modules/*/build", "usr/src/linux-headers-*", "usr/src/kernels/*")
_SOURCE_TREE = re.compile(r"(/\S*?linux-headers-\S*?-common[^/\s]*)/Makefile")


@dataclass(frozen=True, slots=True)
class Headers:
    """Where the headers are.

    Attributes:
        source: tree with include/linux; None: let bcc find the running kernel's own.
        built: tree with include/generated; the same one except on Debian, which splits them.

    """

    source: Path | None
    built: Path

    def compiler_flags(self) -> list[str]:
        """Return the include flags that reach the generated headers of another kernel."""
        if self.source is None:
            return []
        generated = f"arch/{_ARCHITECTURES.get(platform.machine(), 'x86')}/include/generated"
        folders = (generated, f"{generated}/uapi", "include", "include/generated/uapi")
        return [f"-I{self.built / folder}" for folder in folders]


def find_headers(release: str = "", root: Path = Path("/")) -> Headers:
    """Return the headers to compile with; raises LoadError when there are none. root is the file system's."""
    own = root / "lib/modules" / (release or os.uname().release) / "build"
    if _is_built(own):
        return Headers(None, own)
    found = {path.resolve() for pattern in _CANDIDATES for path in root.glob(pattern) if _is_built(path)}
    for built in sorted(found, key=_version, reverse=True):
        source = _source_of(built, root)
        if source is not None:
            return Headers(source, built)
    raise LoadError(
        "cannot compile the BPF programs: no kernel headers are installed",
        advice="apt install linux-headers-amd64 (any recent version serves)",
    )


def _is_built(tree: Path) -> bool:
    return (tree / "include/generated/autoconf.h").is_file()


def _source_of(built: Path, root: Path) -> Path | None:
    if (built / "include/linux/types.h").is_file():
        return built
    makefile = built / "Makefile"
    match = _SOURCE_TREE.search(makefile.read_text(errors="replace")) if makefile.is_file() else None
    if match is None:
        return None
    source = root / match[1].lstrip("/")
    return source if (source / "include/linux/types.h").is_file() else None


def _version(tree: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(tree)))
