"""The folders of loads: each has programs and the maps they use, and one rename switches to those of another.

PIN_DIR/programs             symbolic link to the load in use, programs_N_BUILD or programs_N_BUILD_debug
PIN_DIR/maps                 symbolic link to its maps; they outlive every process (I8)
PIN_DIR/programs_*/NAME      programs of load N, and the map `jumps` they call each other by
PIN_DIR/programs_*/xdp/NAME  the same for XDP, from the first attachment by that hook on
PIN_DIR/programs_*/maps/NAME all its maps, most of which it shares with the load before
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from microseg.kernel.bpf import Descriptor, program_info
from microseg.kernel.errors import NotFoundError
from microseg.kernel.program_text import BPF_DIRECTORY, build_of, program_text
from microseg.kernel.programs import TC, XDP
from microseg.kernel.shapes import c_constants

MAPS = "maps"
_PREFIX = "programs_"
_DEBUG = "_debug"
"""What the folder of a DEBUG build ends in."""


class Loads:
    """The loads of one instance."""

    def __init__(self, pin_dir: Path) -> None:
        self._pin_dir = pin_dir
        self.programs = pin_dir / "programs"
        self.maps = self.programs / MAPS
        self._next = pin_dir / "programs-next"

    def in_use(self) -> Path:
        """Return the folder of the load in use."""
        return self.programs.resolve()

    def name_in_use(self) -> str:
        """Return its name; empty when there is none."""
        return self.programs.readlink().name if self.programs.is_symlink() else ""

    def folder(self, name: str) -> Path:
        """Return the folder of a load."""
        return self._pin_dir / name

    def all(self) -> list[Path]:
        """Return the folders of all loads, half-made ones too."""
        if not self._pin_dir.is_dir():
            return []
        return [path for path in self._pin_dir.iterdir() if path.name.startswith(_PREFIX)]

    def new(self, *, debug: bool) -> Path:
        """Return where the next load goes; it doesn't exist yet."""
        taken = [int(path.name.split("_")[1]) for path in self.all()]
        return self._pin_dir / f"{_PREFIX}{max(taken, default=0) + 1}_{_build(debug=debug)}"

    def use(self, folder: Path) -> None:
        """Switch to a load: programs and maps at once."""
        with suppress(FileExistsError):
            (self._pin_dir / MAPS).symlink_to(Path(self.programs.name) / MAPS)
        self._next.unlink(missing_ok=True)
        self._next.symlink_to(folder.name)
        self._next.rename(self.programs)

    def remove_links(self) -> None:
        """Remove the links to the load in use, and folders that earlier versions had in their places."""
        for link in (self.programs, self._pin_dir / MAPS, self._next):
            if link.is_dir() and not link.is_symlink():
                shutil.rmtree(link)
            else:
                link.unlink(missing_ok=True)

    def is_of_build(self, *, debug: bool) -> bool:
        """Say whether the load in use was made of these sources."""
        return self.name_in_use().split("_", 2)[2:] == [_build(debug=debug)]


def is_debug(folder: Path) -> bool:
    """Say whether a load traces each packet."""
    return folder.name.endswith(_DEBUG)


def program_ids(folder: Path) -> set[int]:
    """Return the ids of the programs of a load that are attached to interfaces."""
    ids = set()
    for unit in (TC, XDP):
        for name in unit.entries:
            with suppress(NotFoundError), Descriptor.pinned(unit.folder(folder) / name) as program:
                ids.add(program_info(program.fd).id)
    return ids


def _build(*, debug: bool) -> str:
    """Return what tells builds apart; capacities are no part of it."""
    with os.scandir(BPF_DIRECTORY) as files:
        found = ((file.name, file.stat()) for file in files)
        stamps = tuple(sorted((name, status.st_mtime_ns, status.st_size) for name, status in found))
    return _build_of(stamps) + _DEBUG * debug


@lru_cache(maxsize=1)
def _build_of(files: tuple[tuple[str, int, int], ...]) -> str:
    """Return what tells builds of these sources apart: they are read again once a file is another."""
    del files
    texts = [program_text(BPF_DIRECTORY, unit.main) for unit in (TC, XDP)]
    return build_of(texts, c_constants({}))
