"""Tests marked `kernel` need root, the BPF file system and bcc.

Without them they skip; with MICROSEG_REQUIRE_BPF=1, as in continuous integration, they fail.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from pathlib import Path

import pytest

BPF_REQUIRED = "MICROSEG_REQUIRE_BPF"
BPFFS = Path("/sys/fs/bpf")


@cache
def why_kernel_is_unusable() -> str:
    """Return the one reason for a skip, or nothing."""
    if os.geteuid():
        return "the kernel's part needs root"
    if not BPFFS.is_mount():
        return f"{BPFFS} isn't mounted: make setup"
    if not importlib.util.find_spec("bcc"):
        return "there is no bcc: make setup"
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("kernel") and (reason := why_kernel_is_unusable()):
        if os.environ.get(BPF_REQUIRED) == "1":
            pytest.fail(f"{reason}, and {BPF_REQUIRED} is set", pytrace=False)
        pytest.skip(reason)
