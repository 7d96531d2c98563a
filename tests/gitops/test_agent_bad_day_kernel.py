"""A full disk, a policy that cuts off its remote, and a thousand quiet days."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from bpf_mount import bpf_file_system
from gitops.agent_machine import WEB, AgentMachine, two_hosts, wait_until
from gitops.agent_world import Clock, Witness, World, policy
from kernel.borrowed import Lender
from long_runs import is_long

from microseg.abi import PolicyMap
from microseg.agent_settings import AgentSettings, Drift
from microseg.cli.clock import now
from microseg.gitops.control import Control
from microseg.gitops.inbox import Inbox
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.reconcile.desired import Desired
from microseg.reconcile.state import StateStore
from microseg.reconcile.transaction import Host, Request

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(3600)]

CYCLES = 10_000 if is_long() else 1_000
WARM_UP = 200
BY_SSH = "  allow db -> web : tcp/22\n"


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "small", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, long_lender: Lender) -> Iterator[AgentMachine]:
    """A machine whose state is on a small disk and whose remote is reached by ssh, or what stands for it."""
    folder = tmp_path_factory.mktemp("badday")
    ssh = folder / "ssh"
    ssh.write_text(
        '#!/bin/sh\n# the last word is the command for the other side\neval "exec sh -c \\"\\${$#}\\""\n'
    )
    ssh.chmod(0o755)
    with (
        pytest.MonkeyPatch.context() as patch,
        bpf_file_system(folder / "pins") as pins,
        two_hosts() as namespace,
    ):
        patch.setenv("GIT_SSH", str(ssh))
        patch.setenv("GIT_SSH_VARIANT", "simple")
        with small_disk(folder / "state"):
            made = AgentMachine(folder, pins, namespace)
            made.configure(remote=f"ssh://{WEB}{made.clone.bare}")
            first = made.clone.push(policy(1, more=BY_SSH), "the first")
            long_lender.lend(made.pin_dir)
            made.start()
            try:
                made.wait_for(first)
                yield made
            finally:
                made.clean_up()
                long_lender.forget_everything()


def test_a_policy_that_cuts_off_its_remote_is_refused(machine: AgentMachine) -> None:
    before = machine.enforced()
    bad = machine.push(policy(2), "locks us out")
    machine.wait_for_refusal(bad)
    assert machine.enforced() == before == machine.digest(policy(1, more=BY_SSH))
    attempt = machine.record().attempt
    assert attempt
    assert f"the policy's remote {WEB}" in attempt.message
    assert "quarantine" in machine.run("status").stdout
    machine.wait_for(machine.push(policy(3, more=BY_SSH)))


def test_a_policy_that_cuts_what_it_says_it_protects_is_refused(machine: AgentMachine) -> None:
    before = machine.enforced()
    text = policy(4, more=BY_SSH) + "protect console from 10.250.0.0/16 : tcp/2222\n"
    bad = machine.push(text, "locks the console out")
    machine.wait_for_refusal(bad)
    assert machine.enforced() == before
    attempt = machine.record().attempt
    assert attempt
    assert "`protect console`" in attempt.message
    machine.wait_for(machine.push(policy(5, more=BY_SSH)))


def test_a_full_disk(machine: AgentMachine) -> None:
    good = policy(4, more=BY_SSH)
    machine.wait_for(machine.push(good))
    ballast = machine.state_dir / "ballast"
    subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4k", "status=none"], check=False)
    commit = machine.push(policy(5, more=BY_SSH), "no room")
    wait_until(lambda: "No space left" in machine.run("status").stdout, "status says it")
    assert machine.enforced() == machine.digest(good)
    ballast.unlink()
    machine.touch()
    machine.wait_for(commit)
    assert machine.enforced() == machine.digest(policy(5, more=BY_SSH))


class Process:
    """What this process holds."""

    def resident_kib(self) -> int:
        return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0])

    def open_files(self) -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  names are enough

    def children(self) -> str:
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


class LookingWorld(World):
    """The agent of a machine in this process, for which nothing is left to do."""

    def __init__(self, machine: AgentMachine) -> None:
        self.machine = machine
        self.folder, self.clone = machine.folder, machine.clone
        self.clock, self.witness, self.inbox = Clock(), Witness(), Inbox()
        self.state_dir, self.run_dir = machine.state_dir, machine.run_dir
        self.control = Control(self.state_dir, self.run_dir)
        self.settings = AgentSettings(branch="main", drift=Drift.REPORT, drift_interval_s=1)
        self.clock.time = now()
        self.clone.policies = machine.clone.bare / "policies.d"
        self.failing = ()
        self.agent = self.start()

    @contextmanager
    def host(self) -> Iterator[Host]:
        plane = PinnedDataPlane(self.machine.pin_dir)
        try:
            yield Host(plane, StateStore(self.state_dir), self.run_dir, self.clock)
        finally:
            plane.close()

    def request(self, compiler: Callable[[Mapping[PolicyMap, int]], Desired]) -> Request:
        raise AssertionError(f"there is nothing to apply, not even {compiler}")


def test_cycles_without_changes_leave_nothing_behind(machine: AgentMachine) -> None:
    """What a look takes is given back: memory, files, processes, pins."""
    machine.stop()
    world, process = LookingWorld(machine), Process()
    pins = sorted(machine.pin_dir.rglob("*"))
    gc.freeze()
    for _ in range(WARM_UP):
        world.look()
        gc.collect()
    before = process.resident_kib(), process.open_files(), process.children()
    for _ in range(CYCLES):
        world.look()
        gc.collect()  # as the agent does before it waits
        world.witness.cycles.clear()
    gc.unfreeze()
    assert process.resident_kib() - before[0] < 1024
    assert (process.open_files(), process.children()) == before[1:]
    assert sorted(machine.pin_dir.rglob("*")) == pins
    drift = world.agent.record.drift
    assert drift
    assert drift.differences == ("filter missing db0 the interface is gone",), "it is in another namespace"
    machine.start()
