"""Running a command and watching what it takes."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_S = 0.05
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Taken:
    """What a command took.

    Attributes:
        wall_s: from its start to its end.
        cpu_s: of itself and its children.
        peak_mb: most resident memory of itself and its children at one time; shared memory counts for each.

    """

    wall_s: float
    cpu_s: float
    peak_mb: float


def run(command: Sequence[str], env: dict[str, str], most_s: float | None = None) -> Taken:
    """Run a command to its end, or for most_s; one that fails ends the benchmark with its words."""
    before = os.times()
    began = time.monotonic()
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        peak = [0]
        watcher = threading.Thread(target=_watch, args=(process, peak))
        watcher.start()
        try:
            _, said = process.communicate(timeout=most_s)
        except subprocess.TimeoutExpired:
            process.kill()
            _, said = process.communicate()
        wall = time.monotonic() - began
        watcher.join()
    after = os.times()
    if process.returncode and (most_s is None or wall < most_s):
        raise SystemExit(f"{' '.join(command)}: exit {process.returncode}\n{said.decode()[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Taken(wall, cpu, peak[0] / 1e6)


def _watch(process: subprocess.Popen[bytes], peak: list[int]) -> None:
    while process.poll() is None:
        peak[0] = max(peak[0], _resident(process.pid))
        time.sleep(_LOOK_S)


def _resident(pid: int) -> int:
    """Return the resident bytes of a process and its children, 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except (OSError, IndexError):
        return 0
    return pages * _PAGE_BYTES + sum(_resident(int(child)) for child in children)
