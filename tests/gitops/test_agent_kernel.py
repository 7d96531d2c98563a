"""The agent as a process: commit, push, enforced; and what is in force on a bad day."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bpf_mount import bpf_file_system
from gitops.agent_machine import AgentMachine, datagrams, two_hosts, wait_until
from gitops.agent_world import policy
from long_runs import is_long

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(1800)]

KILLS = 100 if is_long() else 20
UDP = "  allow web -> db : udp/{}\n"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentMachine]:
    """A machine whose agent has applied policy 1; tests leave it with an agent that runs."""
    folder = tmp_path_factory.mktemp("agent")
    with bpf_file_system(folder / "pins") as pins, two_hosts() as namespace:
        made = AgentMachine(folder, pins, namespace)
        first = made.clone.push(policy(1), "the first")
        made.start()
        try:
            made.wait_for(first)
            yield made
        finally:
            made.clean_up()


def test_commit_push_enforced(machine: AgentMachine) -> None:
    with datagrams(machine.namespace, 7001) as arrival:
        commit = machine.push(policy(1, more=UDP.format(7001)), "datagrams may pass")
        pushed = time.monotonic()
        took_s = arrival() - pushed
    machine.wait_for(commit)
    assert took_s < 60, "the benchmark measures; here it only has to come"
    status = machine.objects("status")
    assert status["revision"]["commit"] == commit


def test_the_agent_is_small(machine: AgentMachine) -> None:
    assert machine.agent
    memory = Path(f"/proc/{machine.agent.pid}/status").read_text()
    resident_kib = int(memory.partition("VmRSS:")[2].split()[0])
    assert resident_kib < 60 * 1024
    libraries = Path(f"/proc/{machine.agent.pid}/maps").read_text()
    assert "libc.so" in libraries
    assert "LLVM" not in libraries
    assert "libbcc" not in libraries


def test_the_agent_idles(machine: AgentMachine) -> None:
    machine.wait_for(machine.push(policy(4)))
    assert machine.run("reconcile").returncode == 0
    assert machine.agent
    time.sleep(1)  # it looks once more, at its own answer
    spent = Path(f"/proc/{machine.agent.pid}/schedstat")
    before_ns, idle_s = int(spent.read_text().split()[0]), 4
    time.sleep(idle_s)
    assert int(spent.read_text().split()[0]) - before_ns < 0.005 * idle_s * 1e9


def test_a_second_agent_is_told_who_runs(machine: AgentMachine) -> None:
    done = machine.run("agent")
    assert done.returncode == 1
    assert machine.agent
    assert f"process {machine.agent.pid} " in done.stderr


def test_an_agent_and_somebody_else_apply_one_after_the_other(machine: AgentMachine) -> None:
    good = policy(5)
    with subprocess.Popen(
        machine.command("apply", "--config", str(machine.settings), "--lock-timeout", "60"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as other:  # fmt: skip
        commit = machine.push(good)
        machine.wait_for(commit)
        other.wait(60)
    machine.touch()
    wait_until(lambda: machine.enforced() == machine.digest(good), "the agent's policy")


@pytest.mark.parametrize(
    "text",
    [policy(1).replace("allow", "alow"), policy(1).replace("expect allow", "expect deny")],
    ids=["syntax error", "failing test"],
)
def test_a_bad_push_leaves_the_last_good_one(machine: AgentMachine, text: str) -> None:
    good = policy(6)
    machine.wait_for(machine.push(good))
    bad = machine.push(text, "bad")
    machine.wait_for_refusal(bad)
    assert machine.enforced() == machine.digest(good)
    status = machine.run("status").stdout
    assert "quarantine" in status
    assert bad[:10] in status
    better = machine.push(policy(7))
    machine.wait_for(better)
    assert machine.enforced() == machine.digest(policy(7))
    assert "quarantine" not in machine.run("status").stdout


def test_suspend_resume_reconcile(machine: AgentMachine) -> None:
    assert machine.agent
    before = machine.enforced()
    machine.agent.send_signal(signal.SIGUSR1)
    wait_until(lambda: machine.record().suspension, "suspended by the signal")
    commit = machine.push(policy(8))
    assert "suspended" in machine.run("reconcile").stdout
    assert machine.enforced() == before
    assert "suspended" in machine.run("status").stdout
    machine.run("resume")
    machine.wait_for(commit)
    done = machine.run("reconcile")
    assert (done.returncode, done.stdout.partition(":")[2].strip()) == (0, f"{commit[:10]} (change)")


def test_killed_at_random_moments_under_a_stream_of_commits(machine: AgentMachine) -> None:
    """What is in force is always what some good commit compiles to, and the agent goes on by itself."""
    texts = {number: policy(100 + number) for number in range(KILLS)}
    good = {machine.digest(text) for text in texts.values()} | {machine.enforced()}
    chance = random.Random(20261122)
    for number, text in texts.items():
        if number % 3 == 2:
            machine.clone.push(text.replace("allow", "alow", 1), "bad")
            machine.touch()
        machine.push(text, f"commit {number}")
        time.sleep(chance.uniform(0, 0.4))
        assert machine.stop(signal.SIGKILL) == -signal.SIGKILL
        assert machine.enforced() in good
        starts = machine.log().count("the agent is up")
        machine.start()
        if chance.random() < 0.8:  # else killed while it starts
            wait_until(lambda: machine.log().count("the agent is up") > starts, "it is up")  # noqa: B023
    machine.wait_for(machine.push(policy(999)))
    assert machine.enforced() == machine.digest(policy(999))
    left = {path.name for path in machine.pin_dir.iterdir()}
    loads = {name for name in left if name.startswith("programs_")}
    assert len(loads) == 1
    assert left - loads <= {"clsact", "links", "maps", "programs"}
