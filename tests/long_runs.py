"""How much random testing a run does."""

from __future__ import annotations

import os


def is_long() -> bool:
    """Say whether this is the long run (`make test-all`)."""
    return any(os.environ.get(name) == "1" for name in ("MICROSEG_TEST_FULL", "MICROSEG_LONG"))


def seeds(part: int, of: int, *, short: int, long: int) -> range:
    """Return the seeds of one of several parts of all the cases, of which there are so many in either run."""
    total = long if is_long() else short
    return range(part, total, of)
