"""What a change of one rule among 10,000 takes the agent, step by step, beside `nft -f`: `make bench-change`.

From where the changed file is read to the store that puts it in force: with the confined compiler that the
agent has, and in maps of its own. The policy's files and the repository are not read anew. It attaches to lo,
so it is run in a network namespace of its own. Exits with 1 when a limit is missed.
"""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench import large_policy
from bench.applying import OPERATOR, a_host
from bench.phases import CLI_THRESHOLDS
from bench.results import Limit, Row, Section, Table, report

from microseg.abi import Encoder, PolicyMap
from microseg.analysis.examine import examine
from microseg.analysis.memory import Memory
from microseg.analysis.taste import Options
from microseg.compiler.resolve import resolve
from microseg.confined.worker import ConfinedCompiler
from microseg.lang.files import parse_tree
from microseg.reconcile.apply import StepName, apply
from microseg.reconcile.dataplane import Attachment, Sizing
from microseg.reconcile.desired import Desired
from microseg.reconcile.plan import compare
from microseg.reconcile.transaction import Host, Request
from microseg.source import MemoryTree

ROUNDS, RELOADS = 15, 3
LIMIT_MS, COLD_S, WARM_S = 50.0, 4.0, 0.7
FILE = "team50.mseg"
REST_S = 0.3
"""Between two changes, as between two commits: what is left to clean up is done in it."""
COMMAND = "make bench-change"
NOTE = (
    f"10,000 rules in 101 files, a rule more in one of them; medians of {ROUNDS}. `nft -f` loads the "
    "same policy, all of it."
)
BEFORE_THE_SWITCH = (
    StepName.COMPILE,
    StepName.GUARD,
    StepName.STAGE,
    StepName.VERIFY,
    StepName.PROBE,
    StepName.NOTE,
    StepName.FLIP,
)


def changed(files: Mapping[str, bytes], port: int) -> dict[str, bytes]:
    """Return the files with a rule more in the middle of one, behind another of the same ends."""
    lines = files[FILE].decode().split("\n")
    rules = [at for at, line in enumerate(lines) if line.startswith("  allow")]
    at = rules[len(rules) // 2]
    lines.insert(at, lines[at].partition(":")[0] + f": tcp/{port}")
    return {**files, FILE: "\n".join(lines).encode()}


@dataclass(slots=True)
class Run:
    """An agent's applies, taken by the clock.

    Attributes:
        host: of the kernel.
        compiler: in confinement.
        taken: ms of each step, apply by apply.
        compiled: ms of compiling alone.

    """

    host: Host
    compiler: ConfinedCompiler
    taken: dict[StepName, list[float]] = field(default_factory=dict)
    compiled: list[float] = field(default_factory=list)

    def apply(self, files: Mapping[str, bytes]) -> float:
        """Bring files into force; return ms from reading the first of them to the switch."""
        times: dict[StepName, float] = {}

        def compile_policy(capacities: Mapping[PolicyMap, int]) -> Desired:
            began = time.monotonic()
            desired = self.compiler(MemoryTree(files), None, datetime.now(UTC).date(), capacities)
            self.compiled.append((time.monotonic() - began) * 1000)
            return desired

        def announce(step: StepName) -> None:
            times[step] = time.monotonic()

        where = (Attachment("lo", self.host.plane.preferred_hook()),)
        apply(
            self.host,
            Request(compile_policy, OPERATOR, attachments=where, sizing=Sizing()),
            announce=announce,
        )
        following = dict(zip(times, list(times.values())[1:], strict=False))
        for step, end in following.items():
            self.taken.setdefault(step, []).append((end - times[step]) * 1000)
        return (following[StepName.FLIP] - times[StepName.COMPILE]) * 1000


def measure(files: Mapping[str, bytes]) -> tuple[Table, list[Limit]]:
    """Change a rule again and again, in a process that looks for garbage as the agent does."""
    gc.set_threshold(*CLI_THRESHOLDS)
    with a_host(Sizing()) as host, ConfinedCompiler() as compiler:
        run = Run(host, compiler)
        cold = run.apply(files)
        for port in range(7000, 7003):
            run.apply(changed(files, port))
            time.sleep(REST_S)
        run.taken.clear()
        run.compiled.clear()
        gc.freeze()
        totals = []
        for port in range(8000, 8000 + ROUNDS):
            totals.append(run.apply(changed(files, port)))
            time.sleep(REST_S)
    total = statistics.median(totals)
    reload_ms = nft_ms(files)
    steps = [Row(f"- {step.value}", (statistics.median(run.taken[step]),)) for step in BEFORE_THE_SWITCH]
    rows = (
        Row("from reading the changed file to the switch", (total,)),
        *steps,
        Row("of which in the confined compiler", (statistics.median(run.compiled),)),
        Row("the same, the least", (min(totals),)),
        Row("the first apply, nothing being known of the policy", (cold,)),
        Row("`nft -f` of the same policy", (reload_ms,)),
    )
    limits = [Limit("a change of one rule of 10,000, ms to the switch", total, most=LIMIT_MS)]
    return Table("A change of one rule of 10,000", ("ms",), rows, COMMAND, NOTE), limits


def nft_ms(files: Mapping[str, bytes]) -> float | None:
    """Return what nftables takes to load the policy in place of itself; None without nftables."""
    if subprocess.run(["which", "nft"], capture_output=True, check=False).returncode:
        return None
    tree = MemoryTree(files)
    ruleset = resolve(parse_tree(tree).files, tree).ruleset.active_on(datetime.now(UTC).date())
    table = "table inet microseg_bench\n"
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "policy.nft"
        lines = f"add {table}delete {table}{large_policy.nftables_of(ruleset)}"
        script.write_text(lines, encoding="ascii")
        taken = []
        for _ in range(RELOADS + 1):
            began = time.monotonic()
            subprocess.run(["nft", "-f", script], check=True)
            taken.append((time.monotonic() - began) * 1000)
        subprocess.run(["nft", "delete", "table", "inet", "microseg_bench"], check=True)
    return statistics.median(taken[1:])


def again(files: Mapping[str, bytes]) -> tuple[Table, list[Limit]]:
    """Lint, compile and plan, then the same behind a change of one line, in one process."""
    memory, encoder, taken = Memory(), Encoder(), []
    today, before = datetime.now(UTC).date(), None
    for port in range(9000, 9001 + ROUNDS):
        began = time.monotonic()
        examination = examine(MemoryTree(changed(files, port)), today, review=Options(), memory=memory)
        image = examination.compilation.image
        assert image, "the policy is valid"
        after = Desired(encoder.encode(image))
        plan = compare(after, before or after)
        taken.append(time.monotonic() - began)
        assert before is None or len(plan.changes) > 1
        before = after
        memory.age()
        gc.collect()
        gc.freeze()
    cold, warm = taken[0], statistics.median(taken[1:])
    rows = (Row("nothing being known", (cold,)), Row("behind a change of one line", (warm,)))
    limits = [
        Limit("10,000 rules: lint, compile and plan at first, s", cold, most=COLD_S),
        Limit("10,000 rules: the same behind a change of one line, s", warm, most=WARM_S),
    ]
    return Table("Lint, compile and plan in a process that stays", ("s",), rows, COMMAND), limits


def measured() -> Section:
    """Measure everything."""
    files = large_policy.files_of(large_policy.LARGE)
    one, limits = measure(files)
    both, more = again(files)
    return Section("a change of one rule", (one, both), (*limits, *more))


if __name__ == "__main__":
    sys.exit(report(measured, __doc__))
