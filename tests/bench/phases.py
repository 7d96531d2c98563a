"""What each phase takes of one cold lint and plan of a policy directory, in a process of its own.

    python -m bench.phases DIRECTORY

prints a JSON object of seconds by phase.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar

from microseg.abi import encode
from microseg.analysis import conflicts, lint, proofs, protection
from microseg.analysis.book import Book
from microseg.analysis.difference import compare
from microseg.compiler import checks, limits
from microseg.compiler.lower import lower
from microseg.compiler.resolve import resolve
from microseg.lang.ahead import parse_ahead
from microseg.lang.files import Parsed, ParsedFile, parse_tree
from microseg.memo import Memo
from microseg.reconcile.enforced import EVERYTHING_PASSES
from microseg.source import DirectoryTree

Result = TypeVar("Result")
CLI_THRESHOLDS = (200_000, 20, 20)
"""When garbage is looked for, as microseg/cli/__init__.py has it."""


class Clock:
    """Takes the time of each phase."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}

    def of(self, phase: str, work: Callable[[], Result]) -> Result:
        """Do some work and add its time to a phase."""
        began = time.monotonic()
        result = work()
        self.taken[phase] = self.taken.get(phase, 0) + time.monotonic() - began
        return result


def measure(directory: Path, today: date) -> dict[str, float]:
    """Return the seconds each phase takes."""
    clock, tree = Clock(), DirectoryTree(directory)
    clock.of("read, parse", lambda: _parse(tree))
    parsed = clock.of("read trees that were kept", lambda: _parse(tree))
    resolution = clock.of("resolve", lambda: resolve(parsed.files, tree))
    clock.of("check", lambda: checks.check(parsed.files, resolution, today, whole=True))
    ruleset = resolution.ruleset.active_on(today)
    book = clock.of(
        "prepare the analysis",
        lambda: Book(ruleset, [*proofs.spoken_of(ruleset), *protection.spoken_of(ruleset)]),
    )
    clock.of("conflicts and tests", lambda: [*conflicts.conflicts(book), *proofs.failures(book)])
    clock.of("remarks", lambda: lint.findings(book))
    image = clock.of("lower", lambda: lower(ruleset))
    clock.of("lower", lambda: limits.check(ruleset, image))
    clock.of("encode", lambda: encode(image))
    clock.of("what changes for packets", lambda: compare(EVERYTHING_PASSES, ruleset))
    return clock.taken


def _parse(tree: DirectoryTree) -> Parsed:
    known: Memo[ParsedFile] = Memo()
    parse_ahead(tree, known)
    return parse_tree(tree, known)


if __name__ == "__main__":
    gc.set_threshold(*CLI_THRESHOLDS)
    sys.stdout.write(json.dumps(measure(Path(sys.argv[1]), datetime.now(UTC).date())))
