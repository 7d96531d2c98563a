"""Runs tests on Debian's kernels, in qemu: `python -m tests.kernels bookworm trixie -- tests/kernel`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from .archive import Archive, ArchiveError
from .machine import Accelerator, Machine, MachineError
from .package import PackageError, unpack

ENVIRONMENT = (
    *("env", "MICROSEG_REQUIRE_BPF=1", "MICROSEG_TEST_EMULATED=1"),
    *("PYTHONNOUSERSITE=1", "PYTHONPATH=tests"),
)
PYTEST = (
    *(".venv/bin/python", "-m", "pytest", "-v", "-n", "2", "--dist", "loadfile"),
    *("-m", "kernel and not compiles"),
    *("-p", "no:cacheprovider", "-p", "kernels.slowly", "--timeout=3000"),
)


def main() -> int:
    """Run the tests on each kernel; 0 when they passed on all."""
    arguments = _parser().parse_args()
    if platform.machine() != "x86_64":
        sys.stderr.write("test-kernels: the guest shares the host's programs, so this needs an x86-64 host\n")
        return 1
    command = [*ENVIRONMENT, *PYTEST, *arguments.pytest]
    failed = [suite for suite in arguments.suites if not _passes(suite, command, arguments)]
    if failed:
        sys.stderr.write(f"test-kernels: failed on the kernel of {', '.join(failed)}\n")
    return 1 if failed else 0


def _passes(suite: str, command: list[str], arguments: argparse.Namespace) -> bool:
    cache = _cache() / suite
    cache.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="run-", dir=cache) as folder:
        try:
            packages = Archive(suite, cache).kernel(update=arguments.update)
            kernel = unpack(packages, Path(folder))
            _say(f"{suite}: {kernel.release}, by {arguments.accelerator}")
            machine = Machine(kernel, arguments.accelerator, arguments.memory_mib, arguments.minutes * 60)
            status = machine.run(command, Path(folder))
        except (ArchiveError, PackageError, MachineError) as error:
            _say(f"{suite}: {error}")
            return False
    _say(f"{suite}: {kernel.release}: exit {status} after {time.monotonic() - began_s:.0f} s")
    return status == 0


def _say(text: str) -> None:
    sys.stdout.write(f"test-kernels: {text}\n")
    sys.stdout.flush()


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "microseg/kernels"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description=__doc__)
    parser.add_argument(
        "suites", nargs="+", metavar="SUITE", help="Debian's name: bookworm, trixie-backports"
    )
    parser.add_argument("--update", action="store_true", help="look for a newer kernel than the one kept")
    parser.add_argument("--accelerator", type=Accelerator, choices=list(Accelerator), default=Accelerator.TCG)
    parser.add_argument("--memory-mib", type=int, default=3072)
    parser.add_argument("--minutes", type=float, default=90, help="after which a machine is stopped")
    parser.add_argument("--pytest", nargs=argparse.REMAINDER, default=[], help="arguments for pytest; last")
    return parser


if __name__ == "__main__":
    sys.exit(main())
