"""How much random testing a run does."""

from __future__ import annotations

import os


def is_long() -> bool:
    """Say whether this is the long run (`make test-all`)."""
    return any(os.environ.get(name) == "1" for name in ("MICROSEG_TEST_FULL", "MICROSEG_LONG"))


def is_emulated() -> bool:
    """Say whether this runs on an emulated processor (`make test-kernels`), some twenty times slower."""
    return os.environ.get("MICROSEG_TEST_EMULATED") == "1"


def amount(*, emulated: int, short: int, long: int) -> int:
    """Return how many random cases to try."""
    if is_long():
        return long
    return emulated if is_emulated() else short


def seeds(part: int, of: int, *, short: int, long: int) -> range:
    """Return the seeds of one of several parts of all the cases, of which there are so many in either run."""
    total = long if is_long() else short
    return range(part, total, of)
