"""What large policies take, cold, phase by phase and as commands, beside `nft -f`: `make bench-control`.

Wall-clock times of the commands as they are typed, of Python's start too. Cold means that the user's cache
folder is empty. Exits with 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import large_policy, watched
from bench.large_policy import Size
from bench.results import Limit, Row, Section, Table
from bench.watched import Taken

from microseg.compiler.resolve import resolve
from microseg.lang.files import parse_tree
from microseg.source import MemoryTree

COMMAND = "make bench-control"
SIZES = {
    "1,000 rules": large_policy.SMALL,
    "10,000 rules": large_policy.LARGE,
    "100,000 rules": large_policy.HUGE,
}
COLD_10K_S, COLD_100K_S, PEAK_MB = 4, 60, 2000
NFT_MOST_S = 60
MICROSEG = (sys.executable, "-c", "from microseg.cli import main; main()")
MAPS = "[maps]\naddresses = 1048576\nservices = 65536\nrules = 1048576\n"


@dataclass(frozen=True, slots=True)
class Place:
    """A policy directory, an empty cache, and an instance with nothing in the kernel.

    Attributes:
        folder: has all of it.
        policy: the directory.
        env: what commands are run with.

    """

    folder: Path
    policy: Path
    env: Mapping[str, str]

    def run(self, *arguments: str) -> Taken:
        """Run microseg."""
        return watched.run([*MICROSEG, *arguments], dict(self.env))

    def phases(self) -> dict[str, float]:
        """Return what each phase takes, in a process of its own."""
        command = [sys.executable, "-m", "bench.phases", str(self.policy)]
        done = subprocess.run(command, env=dict(self.env), check=True, capture_output=True, text=True)
        return {str(phase): float(taken) for phase, taken in json.loads(done.stdout).items()}


@dataclass(frozen=True, slots=True)
class Cold:
    """What one size takes.

    Attributes:
        lint: `microseg lint`, with an empty cache.
        plan: `microseg plan`, with an empty cache, nothing being in the kernel.
        after: `microseg plan` behind the lint, as people type them.
        nft: `nft -f` of the same rules; None without nftables.
        phases: seconds of each phase.

    """

    lint: Taken
    plan: Taken
    after: Taken
    nft: Taken | None
    phases: Mapping[str, float]

    @property
    def both_s(self) -> float:
        """Seconds of the lint and the plan behind it."""
        return self.lint.wall_s + self.after.wall_s


@contextmanager
def a_place(files: Mapping[str, bytes]) -> Iterator[Place]:
    """Write a policy directory down, with an empty cache and a state of its own beside it."""
    with tempfile.TemporaryDirectory(prefix="microseg-bench-") as made:
        folder = Path(made)
        policy = folder / "policies.d"
        for path, content in files.items():
            (policy / path).parent.mkdir(parents=True, exist_ok=True)
            (policy / path).write_bytes(content)
        (folder / "microseg.toml").write_text(f'interfaces = ["lo"]\n{MAPS}', encoding="ascii")
        dirs = {f"MICROSEG_{name}_DIR": str(folder / name.lower()) for name in ("STATE", "RUN")}
        pins = {"MICROSEG_PIN_DIR": f"/sys/fs/bpf/{folder.name}", "XDG_CACHE_HOME": str(folder / "cache")}
        config = {"MICROSEG_CONFIG": str(folder / "microseg.toml"), "MICROSEG_POLICY_DIR": str(policy)}
        yield Place(folder, policy, {**os.environ, **dirs, **pins, **config})


def cold(size: Size) -> Cold:
    """Measure a size."""
    files = large_policy.files_of(size)
    with a_place(files) as place:
        plan = place.run("plan")
    with a_place(files) as place:
        lint, after = place.run("lint"), place.run("plan")
    with a_place(files) as place:
        return Cold(lint, plan, after, _nft(files, place), place.phases())


def _nft(files: Mapping[str, bytes], place: Place) -> Taken | None:
    """Load the same rules with `nft -f` into a network namespace of its own; None when that isn't there."""
    if subprocess.run(["which", "nft"], capture_output=True, check=False).returncode:
        return None
    tree = MemoryTree(files)
    ruleset = resolve(parse_tree(tree).files, tree).ruleset.active_on(datetime.now(UTC).date())
    script = place.folder / "policy.nft"
    script.write_text(large_policy.nftables_of(ruleset), encoding="ascii")
    return watched.run(["unshare", "--net", "nft", "-f", str(script)], dict(place.env), NFT_MOST_S)


FIGURES: dict[str, Callable[[Cold], float | None]] = {
    "lint, s": lambda each: each.lint.wall_s,
    "lint, peak MB": lambda each: each.lint.peak_mb,
    "plan behind it, s": lambda each: each.after.wall_s,
    "lint and plan, s": lambda each: each.both_s,
    "lint and plan, processor s": lambda each: each.lint.cpu_s + each.after.cpu_s,
    "plan without a lint before, s": lambda each: each.plan.wall_s,
    "plan without a lint before, peak MB": lambda each: each.plan.peak_mb,
    "`nft -f` of the same rules, s": lambda each: each.nft.wall_s if each.nft else None,
    "`nft -f`, peak MB": lambda each: each.nft.peak_mb if each.nft else None,
}


def section(found: Mapping[str, Cold]) -> Section:
    """Return the tables and limits."""
    sizes = tuple(found)
    commands = [Row(name, tuple(of(each) for each in found.values())) for name, of in FIGURES.items()]
    names = dict.fromkeys(phase for each in found.values() for phase in each.phases)
    phases = [Row(name, tuple(each.phases.get(name) for each in found.values())) for name in names]
    tables = (
        Table("Cold: commands", sizes, tuple(commands), COMMAND, _NOTE),
        Table("Cold: phases, s", sizes, tuple(phases), COMMAND),
    )
    return Section("control plane, cold", tables, tuple(_limits(found)))


_NOTE = (
    "Wall-clock time from typing to the end, Python's start included, the cache empty before the lint. "
    "The memory is of the process and its workers together. The plan compares with a kernel in which "
    "nothing is in force. nft checks nothing of what lint does; it gets a set for each group and a line "
    "for each rule, family and protocol, and is ended after 60 s: what took so long wasn't done."
)


def _limits(found: Mapping[str, Cold]) -> Iterator[Limit]:
    for name, each in found.items():
        if name == "10,000 rules":
            yield Limit("lint and plan of 10,000 rules, cold, s", each.both_s, most=COLD_10K_S)
        if name == "100,000 rules":
            peak = max(each.lint.peak_mb, each.plan.peak_mb, each.after.peak_mb)
            yield Limit("lint and plan of 100,000 rules, cold, s", each.both_s, most=COLD_100K_S)
            yield Limit("memory for 100,000 rules, MB", peak, most=PEAK_MB)


def main() -> int:
    """Measure everything and say what is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the result in this file")
    parser.add_argument("--size", action="append", choices=list(SIZES), help="measure only this size")
    options = parser.parse_args()
    found = section({name: cold(SIZES[name]) for name in options.size or SIZES})
    sys.stdout.write(found.markdown())
    found.write(options.json)
    return found.exit_code


if __name__ == "__main__":
    sys.exit(main())
