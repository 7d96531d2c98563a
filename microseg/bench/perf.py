"""Where time goes, by perf: stacks sampled while it is measured."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from microseg.bench.traffic import ENDING_WITH_US
from microseg.reconcile.dataplane import KernelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Stack: TypeAlias = tuple[str, ...]
"""Names from the outermost function to the innermost, the process's first."""

_RATE = "997"
_PATIENCE_S = 60


def require_perf() -> None:
    """Raise KernelError unless perf can sample here; by a timer where a guest may not count cycles."""
    if not shutil.which("perf"):
        raise KernelError("there is no perf on this host", advice="apt-get install linux-perf")
    done = _perf("record", "--quiet", "-g", "-o", "/dev/null", "true")
    if done.returncode:
        raise KernelError(
            "perf can't sample here, so there would be no flame graph",
            advice="leave --flamegraph out",
            log=done.stderr,
        )


@contextmanager
def sampled(process: int | None) -> Iterator[Callable[[], Counter[Stack]]]:
    """Sample a process, or everything when it is None, until what is given is called for the stacks.

    Args:
        process: its id; what interrupts do on its time is its.

    """
    with tempfile.TemporaryDirectory(prefix="microseg-perf-") as folder:
        data = Path(folder) / "data"
        whom = ["--pid", str(process)] if process else ["--all-cpus"]
        recording = subprocess.Popen(  # noqa: S603  # our own words
            [*ENDING_WITH_US, "perf", "record", "--quiet", "-F", _RATE, "-g", "-o", data, *whom],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

        def stacks() -> Counter[Stack]:
            recording.send_signal(signal.SIGINT)
            recording.wait(_PATIENCE_S)
            done = _perf("script", "--no-inline", "-F", "comm,ip,sym", "-i", str(data))
            if done.returncode:
                raise KernelError("perf can't read what it has recorded", log=done.stderr)
            return folded(done.stdout.splitlines())

        with recording:
            try:
                yield stacks
            finally:
                recording.kill()


def folded(lines: Iterable[str]) -> Counter[Stack]:
    """Count the stacks of what `perf script -F comm,ip,sym` prints: a process, its frames, an empty line."""
    counts: Counter[Stack] = Counter()
    names: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            names.append(_name(line) if line[0].isspace() and names else line.strip())
        elif names:
            counts[names[0], *reversed(names[1:])] += 1
            names = []
    return counts


def _name(line: str) -> str:
    _, _, name = line.strip().partition(" ")
    return name.strip() or "[unknown]"


def _perf(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own words
        ["perf", *words],  # noqa: S607  # wherever it is
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        timeout=_PATIENCE_S,
    )  # fmt: skip
