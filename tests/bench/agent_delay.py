"""From `git push` returning to the first packet judged by the new policy, with the real agent."""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import large_policy
from bench.results import Limit, Row, Section, Table, report
from bpf_mount import bpf_file_system
from gitops.agent_machine import AgentMachine, datagrams, two_hosts
from gitops.agent_world import git, policy

from microseg.reconcile.dataplane import Sizing

PUSHES = 15
LIMIT_MS = 250.0
POLL_MS = 1000.0
FIRST_PORT = 20_000
LARGE_LIMIT_MS = 500.0
LARGE_SPREAD_S = 1.0
WARM_UP_S = 5.0
LARGE = {
    path: content.replace(b"default deny log\n", b"")  # the policy that is pushed has its own
    for path, content in large_policy.files_of(large_policy.LARGE).items()
}
RULE = "  allow web -> db : udp/{}\n"
COMMAND = "make bench-agent"
NOTE = f"From `git push` returning, or a rename, to the first datagram that arrives; {PUSHES} times each way."


@dataclass(frozen=True)
class Way:
    """One way for the agent to hear of a push.

    Attributes:
        name: for the table.
        set_up: makes the machine so, and returns what puts a policy in its place.
        limit_ms: what the median must stay under.
        spread_s: longest pause between two pushes, at random.
        files: that are there as well, by path; what is pushed changes none of them.

    """

    name: str
    set_up: Callable[[AgentMachine], Callable[[str], None]]
    limit_ms: float
    spread_s: float = 0.1
    files: Mapping[str, bytes] = field(default_factory=dict)


def push_to(machine: AgentMachine) -> Callable[[str], None]:
    def push(text: str) -> None:
        machine.clone.commit(text)
        git(machine.clone.root, "push", "--quiet", "origin", "HEAD:main")

    return push


def by_hook(machine: AgentMachine) -> Callable[[str], None]:
    hook = machine.clone.bare / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n: >{machine.run_dir}/agent/trigger\n")
    hook.chmod(0o755)
    return push_to(machine)


def by_branch(machine: AgentMachine) -> Callable[[str], None]:
    machine.configure(remote=None, branch="main", policy_dir=machine.clone.bare / "policies.d")
    return push_to(machine)


def by_polling(machine: AgentMachine) -> Callable[[str], None]:
    machine.configure(interval_s=POLL_MS / 1000)
    return push_to(machine)


def by_files(machine: AgentMachine) -> Callable[[str], None]:
    machine.configure(remote=None)

    def write(text: str) -> None:
        following = machine.clone.policies / ".shop.mseg.new"
        following.write_text(text)
        following.rename(machine.clone.policies / "shop.mseg")

    return write


WAYS = (
    Way("post-receive hook, remote fetched", by_hook, LIMIT_MS),
    Way("branch of a local bare repository", by_branch, LIMIT_MS),
    Way("files of the policy directory (no git)", by_files, LIMIT_MS),
    Way(f"polling every {POLL_MS / 1000:g} s", by_polling, POLL_MS + LIMIT_MS, spread_s=POLL_MS / 1000),
    Way("the hook, 10,000 rules", by_hook, LARGE_LIMIT_MS, LARGE_SPREAD_S, LARGE),
    Way("the local bare repository, 10,000 rules", by_branch, LARGE_LIMIT_MS, LARGE_SPREAD_S, LARGE),
    Way("the policy directory, 10,000 rules", by_files, LARGE_LIMIT_MS, LARGE_SPREAD_S, LARGE),
)


def measure(way: Way, folder: Path) -> list[float]:
    """Return the delays in ms; a packet that comes before `git push` has returned counts as 0."""
    delays, chance = [], random.Random(1)
    with bpf_file_system(folder / "pins") as pins, two_hosts() as namespace:
        machine = AgentMachine(folder, pins, namespace, Sizing())
        for path, content in way.files.items():
            (machine.clone.policies / path).write_bytes(content)
        first = machine.clone.push(policy(1), "the first")
        enforce = way.set_up(machine)
        machine.start()
        try:
            machine.wait_for(first)
            enforce(policy(2))
            time.sleep(WARM_UP_S)
            for port in range(FIRST_PORT, FIRST_PORT + PUSHES):
                time.sleep(chance.uniform(0, way.spread_s))
                with datagrams(namespace, port) as arrival:
                    enforce(policy(1, more=RULE.format(port)))
                    returned = time.monotonic()
                    delays.append(max(0.0, arrival() - returned) * 1000)
        finally:
            machine.clean_up()
    return delays


def measured() -> Section:
    """Measure all ways."""
    rows, limits = [], []
    for way in WAYS:
        with tempfile.TemporaryDirectory(prefix="bench-agent-") as folder:
            delays = measure(way, Path(folder))
        low, median, high = statistics.quantiles(delays, n=4)
        rows.append(Row(way.name, (median, min(delays), low, high, max(delays))))
        limits.append(Limit(f"{way.name}, median, ms", median, most=way.limit_ms))
    columns = ("ms, median", "least", "lower quartile", "upper quartile", "most")
    table = Table("From a push to the first packet", columns, tuple(rows), COMMAND, NOTE)
    return Section("from a push to enforcement", (table,), tuple(limits))


if __name__ == "__main__":
    sys.exit(report(measured, __doc__))
