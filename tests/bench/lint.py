"""What lint takes, next to parsing alone and to `import lark`: `make bench-lint`.

Processor time, because the machine may be busy; what is compared takes turns. Ends with 1 when a limit is
missed.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from random import Random
from statistics import median
from time import process_time

import classbench
from bench.results import Limit, Row, Section, Table, report
from tree import ROOT

from microseg.analysis.examine import examine
from microseg.analysis.taste import Options
from microseg.lang.files import parse_tree
from microseg.source import MemoryTree, SourceTree

ROUNDS, LARGE_ROUNDS = 9, 3
TODAY = date(2026, 6, 1)
EVERYTHING = Options(repeated_default=True)
FILES = 20
FACTOR, REST_S = 2, 0.5
"""Lint of 1,000 rules may take so many times what parsing takes, and so much more."""
LARGE_S = 30
"""Lint of 10,000 rules may take so long."""
START = 3
"""`microseg lint` on a small directory may take so many times what `import lark` takes."""


COMMAND = "make bench-lint"
NOTE = (
    "Processor time; every finding on, a test for each 20 rules. Remarks: what lint says of random policies."
)


def policies(rules: int) -> SourceTree:
    """Return a directory of many files, each with groups and services of its own."""
    rng = Random(rules)
    return MemoryTree({f"team{n:02}.mseg": _file(rng, n, rules // FILES).encode() for n in range(FILES)})


def _file(rng: Random, number: int, rules: int) -> str:
    groups = [f"g{number}-{i}" for i in range(rules // 8)]
    services = [f"s{number}-{i}" for i in range(rules // 16)]
    lines = [f"group {name} = {_network(rng)}/24, {_network(rng)}" for name in groups]
    lines += [f"service {name} = tcp/{_port(rng)}, udp/{_port(rng)}" for name in services]
    lines.append(f"policy p{number} priority {100 + number} {{")
    for _ in range(rules):
        action, sides = rng.choice(("allow", "allow", "deny")), rng.sample(groups, 2)
        lines.append(f"  {action} {sides[0]} -> {sides[1]} : {rng.choice(services)}")
    lines.append("}")
    for _ in range(rules // 20):
        src, dst = rng.sample(groups, 2)
        lines.append(f'test "{src} to {dst}" {{ expect some deny {src} -> {dst} }}')
    return "\n".join(lines) + "\n"


def _network(rng: Random) -> str:
    return f"10.{rng.randrange(256)}.{rng.randrange(256)}.0"


def _port(rng: Random) -> int:
    return rng.randrange(1, 60_000)


def in_turn(rounds: int, *works: Callable[[], object]) -> list[float]:
    """Return the median of the processor time that each takes, in seconds."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, found in zip(works, taken, strict=True):
            began = process_time()
            work()
            found.append(process_time() - began)
    return [median(found) for found in taken]


def started(*commands: list[str]) -> list[float]:
    """Return the median of the processor time that each command takes as a process, in seconds."""
    taken: list[list[float]] = [[] for _ in commands]
    for _ in range(ROUNDS):
        for command, found in zip(commands, taken, strict=True):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return [median(found) for found in taken]


def row(name: str, tree: SourceTree, rounds: int = LARGE_ROUNDS) -> Row:
    """Measure parsing and lint of a directory, and count what lint says."""
    remarks = len(examine(tree, TODAY, review=EVERYTHING).compilation.diagnostics)
    parsing, lint = in_turn(rounds, lambda: parse_tree(tree), lambda: examine(tree, TODAY, review=EVERYTHING))
    return Row(name, (parsing, lint, remarks))


def large_rows() -> Iterator[Row]:
    """Measure 10,000 rules: ours, and those of the corpus that MICROSEG_CORPUS names."""
    yield row(f"10,000 rules in {FILES} files", policies(10_000))
    corpus = os.environ.get("MICROSEG_CORPUS")
    for path in sorted(Path(corpus).glob("**/*_10k.json.gz")) if corpus else []:
        text = classbench.policy_text(classbench.read(path))
        name = f"ClassBench {path.name.split('_')[0]}, 10,000 rules"
        yield row(name, MemoryTree({"p.mseg": text.encode()}))


def starting() -> tuple[float, float]:
    """Return what `import lark` takes, and `microseg lint` of one small file, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "policies.d"
        small.mkdir()
        (small / "shop.mseg").write_bytes((ROOT / "policies.d" / "shop.mseg").read_bytes())
        lark, start = started(
            [sys.executable, "-c", "import lark"],
            [sys.executable, "-c", "from microseg.cli import main; main()", "lint", str(small)],
        )
    return lark, start


def measured() -> Section:
    """Measure everything."""
    few = row(f"1,000 rules in {FILES} files", policies(1000), ROUNDS)
    large = tuple(large_rows())
    lark, start = starting()
    parsing, lint, _ = few.figures
    assert parsing is not None
    assert lint is not None
    starts = (Row("`import lark`", (lark * 1000,)), Row("`microseg lint` of one file", (start * 1000,)))
    return Section(
        "lint",
        (
            Table("Lint", ("parsing alone, s", "lint, s", "remarks"), (few, *large), COMMAND, NOTE),
            Table("Start of a command", ("processor time, ms",), starts, COMMAND),
        ),
        (
            Limit("lint of 1,000 rules, s (twice parsing, and 0.5 s)", lint, most=FACTOR * parsing + REST_S),
            Limit("lint of 10,000 rules, s", max(each.figures[1] or 0 for each in large), most=LARGE_S),
            Limit("start of `microseg lint`, times `import lark`", start / lark, most=START),
        ),
    )


if __name__ == "__main__":
    sys.exit(report(measured, __doc__))
