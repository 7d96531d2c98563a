"""All benchmarks, and docs/performance.md made of what they found: `make bench`, or `make bench BENCH=lint`.

Each is a process of its own, one after the other. What it finds is kept in docs/performance/results, with the
machine it was found on; the page is made of all that is kept there. Exits with 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import page
from bench.page import Found
from bench.results import Section

from microseg.bench.machine import this_machine

NETWORKLESS = ("unshare", "--net")
MOUNTLESS = ("unshare", "--mount")
"""What it mounts goes away with it, however it ends."""


@dataclass(frozen=True)
class Part:
    """A benchmark.

    Attributes:
        name: as typed behind `BENCH=`; its results and its place on the page are called so.
        module: what runs it; takes `--json FILE` and exits with 1 when a limit is missed.
        what: in a few words.
        before: command to run it with.

    """

    name: str
    module: str
    what: str
    before: tuple[str, ...] = ()


PARTS = (
    Part("dataplane", "bench", "packets through the program alone"),
    Part("cold", "bench.cold", "packets without a session, under 10 and 10,000 rules"),
    Part("side", "bench.side", "packets through hosts, each with another filter", MOUNTLESS),
    Part("lint", "bench.lint", "lint, next to parsing"),
    Part("control", "bench.control_plane", "large policies, from text to a plan"),
    Part("apply", "bench.applying", "rollback and staging", NETWORKLESS),
    Part("change", "bench.one_rule", "one rule of 10,000, from its file to the switch", NETWORKLESS),
    Part("agent", "bench.agent_delay", "from a push to enforcement"),
)


def main() -> int:
    """Run what is asked for, and make the page."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(part.name for part in PARTS))
    parser.add_argument("--page-only", action="store_true", help="measure nothing; make the page anew")
    options = parser.parse_args()
    if unknown := set(options.parts) - {part.name for part in PARTS}:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    chosen = [part for part in PARTS if part.name in options.parts or not options.parts]
    held = options.page_only or _run(chosen)
    page.write(page.kept())
    sys.stdout.write(
        f"{page.PAGE} is made of these results; `git diff docs/performance.md` shows what is new.\n"
    )
    return 0 if held else 1


def _run(chosen: Sequence[Part]) -> bool:
    """Run these and keep what they find; False when one missed a limit."""
    held = True
    for number, part in enumerate(chosen, 1):
        sys.stdout.write(f"\n[{number}/{len(chosen)}] {part.name}: {part.what}\n\n")
        sys.stdout.flush()
        section = _found_by(part)
        page.keep(part.name, Found(this_machine().words, datetime.now(UTC).date().isoformat(), section))
        held &= section.exit_code == 0
    return held


def _found_by(part: Part) -> Section:
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.json"
        words = [*part.before, sys.executable, "-m", part.module, "--json", str(found)]
        done = subprocess.run(words, check=False)
        if not found.exists():
            raise SystemExit(f"{part.name} found nothing (exit {done.returncode}); what was kept of it stays")
        return Section.from_json(found.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
