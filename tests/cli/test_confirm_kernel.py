"""A confirmed commit is the kernel's promise: it goes back although every process of ours is dead."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Self

import pytest
from cli.machine import DATABASE, Machine
from cli.terminal_session import ONE_MORE

from microseg.kernel.dataplane import PinnedDataPlane

pytestmark = pytest.mark.kernel

KNOCKING = f"""
import json, socket, time
while True:
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    try:
        socket.create_connection(("{DATABASE}", 9000), timeout=0.2)
    except ConnectionRefusedError:
        passed = True
    except TimeoutError:
        passed = False
    print(json.dumps([began, passed]), flush=True)
    time.sleep(0.02)
"""
"""Nobody listens there: a packet that passes is refused by the host, one that doesn't is never answered."""


class Knocks:
    """A process at the cable's end that tries port 9000 of the database again and again."""

    def __init__(self, machine: Machine) -> None:
        self.seen: list[tuple[float, bool]] = []
        self.process = machine.start(f"{machine.name}w", KNOCKING)

    def until(self, enough: Callable[[float, bool], bool]) -> None:
        """Read on until an attempt, with the boot time it began at and whether it passed, is enough."""
        assert self.process.stdout
        give_up_at = time.monotonic() + 90
        while time.monotonic() < give_up_at:
            began, passed = json.loads(self.process.stdout.readline())
            self.seen.append((began, passed))
            if enough(began, passed):
                return
        raise AssertionError(f"not seen: {self.seen[-20:]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def start(machine: Machine, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        machine.command(*words), env=machine.environment(), stdout=subprocess.DEVNULL, text=True
    )


def deadline_of(machine: Machine) -> int:
    """Wait for a switch that waits to be confirmed, and return until when it does."""
    plane = PinnedDataPlane(machine.pin_dir)
    give_up_at = time.monotonic() + 90
    try:
        while time.monotonic() < give_up_at:
            if deadline_s := plane.read_root().deadline_s:
                return deadline_s
            time.sleep(0.01)
    finally:
        plane.close()
    raise AssertionError("nothing was applied")


def restart(machine: Machine) -> None:
    """Leave nothing in the kernel, as a machine that starts, and no text of a policy either."""
    machine.plane.close()
    shutil.rmtree(machine.pin_dir)
    shutil.rmtree(machine.policies)
    shutil.rmtree(machine.folder / ".git")
    assert "Nothing is loaded: everything passes" in machine.expect(0, "status")


@pytest.mark.usefixtures("loaded_machine")
def test_three_seconds_later_the_old_policy_judges_without_any_process_of_ours(machine: Machine) -> None:
    first = machine.commit("the first")
    with Knocks(machine) as knocks:
        knocks.until(lambda _, passed: passed)
        machine.expect(0, "apply", "-i", "db0", "--confirm-within", "2s")
        knocks.until(lambda _, passed: not passed)
        knocks.until(lambda _, passed: passed)
        assert "no policy is in force: everything passes" in machine.run("status").stderr
    machine.expect(0, "apply")
    machine.write(ONE_MORE)
    second = machine.commit("one more")
    with Knocks(machine) as knocks:
        knocks.until(lambda _, passed: not passed)
        ours = [start(machine, "observe"), start(machine, "apply", "--confirm-within", "3s")]
        deadline_s = deadline_of(machine)
        for process in ours:
            process.send_signal(signal.SIGKILL)
            process.wait()
        knocks.until(lambda _, passed: passed)
        knocks.until(lambda began, passed: began > deadline_s and not passed)

    passing = [began for began, passed in knocks.seen if passed]
    assert max(passing) < deadline_s, "no packet passed past the deadline"
    status = machine.objects("status")
    assert (status["generation"], status["revision"]["commit"]) == (3, first)
    assert "generation 4 was not confirmed in time" in status["problems"][-1]
    assert "too late" in machine.run("confirm").stderr

    output = machine.expect(0, "apply")
    assert f"Generation 6 is in force: {second[:10]}" in output
    assert f"before    generation 3, {first[:10]}" in output
    assert "Confirmed" not in machine.expect(0, "confirm"), "an apply without a time needs no confirmation"
    assert machine.objects("status")["problems"] == []


@pytest.mark.usefixtures("loaded_machine")
def test_a_restart_brings_back_what_was_confirmed_and_not_what_was_not(machine: Machine) -> None:
    first = machine.commit("the first")
    machine.expect(0, "apply", "-i", "db0")
    machine.write(ONE_MORE)
    machine.commit("one more")
    machine.expect(0, "apply", "--confirm-within", "10m")
    restart(machine)
    with Knocks(machine) as knocks:
        knocks.until(lambda _, passed: passed)

        output = machine.expect(0, "restore")

        assert f"Generation 3 is in force: {first[:10]} (the first)" in output
        knocks.until(lambda _, passed: not passed)
    assert machine.objects("status")["revision"]["commit"] == first
    assert machine.objects("status")["problems"] == []
    assert "left alone" in machine.expect(0, "restore")
