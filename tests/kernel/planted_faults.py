"""The data plane with one line of its programs changed: what a test is worth shows when it is red then."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kernel.laboratory import Laboratory
from kernel.sizing import SIZING

from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.program_text import BPF_DIRECTORY

TRIES = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """What to put in the place of a text that is in one of the files of bpf/ once."""

    name: str
    file: str
    right: str
    wrong: str


def each(*faults: Fault) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test once for each fault."""
    return pytest.mark.parametrize("fault", faults, ids=lambda fault: fault.name)


def is_found(lab: Laboratory, scenes: tuple[Callable[[Laboratory], None], ...], **settings: Any) -> bool:
    """Say whether one of the scenes turns red.

    What is remembered for a moment may be forgotten between two packets on a busy machine, and a fault of
    it isn't seen then: so they are played until it is, some times at most.
    """
    for scene in scenes * TRIES:
        lab.clear()
        lab.set(**settings)
        try:
            scene(lab)
        except AssertionError:
            return True
    return False


@contextmanager
def planted(fault: Fault, pins: Path, folder: Path, *more: Fault) -> Iterator[Laboratory]:
    """Load the programs with faults in a copy of their sources, which are in a folder meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("microseg.kernel.dataplane.BPF_DIRECTORY", sources_with((fault, *more), folder))
        plane = PinnedDataPlane(pins)
        plane.load(SIZING)
        try:
            yield Laboratory(plane)
        finally:
            plane.unload()


def sources_with(faults: Sequence[Fault], folder: Path) -> Path:
    """Copy the programs' sources into a folder, faults in place of what is right."""
    copied = Path(shutil.copytree(BPF_DIRECTORY, folder / "bpf"))
    for fault in faults:
        file = copied / fault.file
        text = file.read_text(encoding="utf-8")
        assert text.count(fault.right) == 1, f"{fault.file} has not exactly one {fault.right!r}"
        file.write_text(text.replace(fault.right, fault.wrong), encoding="utf-8")
    return copied
