"""microseg beside other filters, in one run: `make bench BENCH=side`. Exits with 1 when a limit is missed."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import NoReturn

from bench.results import Section
from bench.side.arena import PROMISED, say
from bench.side.scenarios import SCENARIOS

ROUNDS = 5


def main() -> int:
    """Run the scenarios that are named, or all."""
    asked = argparse.ArgumentParser(prog="bench.side", description=__doc__)
    asked.add_argument("scenarios", nargs="*", choices=[[], *SCENARIOS], help="all unless some are named")
    asked.add_argument(
        "--rounds",
        type=int,
        default=ROUNDS,
        help=f"of each measurement, {ROUNDS} by default; {PROMISED} times as many where there is a limit",
    )
    asked.add_argument("--json", type=Path, help="keep the result in this file")
    arguments = asked.parse_args()
    signal.signal(signal.SIGTERM, _end)
    sections = []
    for name in arguments.scenarios or SCENARIOS:
        say(f"side by side: {name}")
        sections.append(SCENARIOS[name](arguments.rounds))
        sys.stdout.write(sections[-1].markdown() + "\n")
    tables = tuple(table for section in sections for table in section.tables)
    limits = tuple(limit for section in sections for limit in section.limits)
    whole = Section("side by side", tables, limits)
    whole.write(arguments.json)
    return whole.exit_code


def _end(*_: object) -> NoReturn:
    """End as after Ctrl-C: everything is taken down."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
