"""A data plane of one's own for a moment: attached nowhere, in maps of its own, gone with all its pins."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from microseg.kernel.dataplane import PinnedDataPlane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.reconcile.dataplane import Sizing

_MARK = "-sandbox-"
"""Stands between the instance's folder and the process's number in the folder's name."""
_PROC = Path("/proc")


@contextmanager
def sandbox(pin_dir: Path, sizing: Sizing) -> Iterator[PinnedDataPlane]:
    """Give a loaded data plane that shares nothing with the instance pinned in pin_dir, beside it.

    What a process left behind that was killed is cleaned up on the way.

    Raises:
        KernelError: the kernel refused.
        PermissionError: this process may not load programs.

    """
    for left in pin_dir.parent.glob(f"{pin_dir.name}{_MARK}*"):
        if not (_PROC / left.name.rpartition("-")[2]).exists():
            PinnedDataPlane(left).unload()
    plane = PinnedDataPlane(pin_dir.with_name(f"{pin_dir.name}{_MARK}{os.getpid()}"))
    plane.load(sizing)
    try:
        yield plane
    finally:
        plane.unload()
