"""Where something was measured: figures mean little without it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """Kernel, model of the processors, and how many of them."""

    kernel: str
    processor: str
    cpus: int

    @property
    def words(self) -> str:
        """Return it in a line."""
        return f"{self.processor}, {self.cpus} CPUs, Linux {self.kernel}"


def this_machine() -> Machine:
    """Return what this machine is."""
    return Machine(platform.release(), _model() or platform.machine(), os.cpu_count() or 1)


def _model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    names = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(names, "")
