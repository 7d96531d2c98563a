"""Several applies at once, on a real kernel: each ends as docs/commands.md says."""

from __future__ import annotations

import subprocess

import pytest
from cli.machine import Machine
from cli.terminal_session import ONE_MORE, SHOP

pytestmark = pytest.mark.kernel


def start(machine: Machine, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        machine.command("apply", *words),
        env=machine.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.usefixtures("loaded_machine")
def test_applies_at_once_and_a_plan_from_before(machine: Machine) -> None:
    machine.commit("the first")
    machine.expect(0, "apply", "-i", "db0")
    commits = []
    for port in (9001, 9002, 9003):
        machine.write(ONE_MORE.replace("9000", str(port)))
        commits.append(machine.commit(f"port {port}"))
    plan = machine.folder / "plan.json"
    machine.expect(0, "plan", "--rev", commits[2], "--out", str(plan))

    waiting = [start(machine, "--rev", rev, "--lock-timeout", "60") for rev in commits[:2]]
    for process in waiting:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    status = machine.objects("status")
    assert status["generation"] == 3, status
    assert status["revision"]["commit"] in commits[:2]
    assert status["problems"] == []
    assert "Nothing changes" in machine.expect(0, "plan", "--rev", status["revision"]["commit"])

    stale = machine.run("apply", str(plan))
    assert stale.returncode == 3
    assert "the saved plan is stale: generation 3 is in force now, and it was 1" in stale.stderr

    machine.write(SHOP)
    hurried = [start(machine), start(machine, "--rev", commits[2])]
    for process in hurried:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0 or "is changing this instance; nothing was changed" in errors
    assert 0 in {process.returncode for process in hurried}
    assert machine.objects("status")["problems"] == []
