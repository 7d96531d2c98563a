"""`microseg test --kernel` on a real kernel: beside what is in force, and gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli.terminal_session import FAILING, Session
from cli.test_apply_kernel import pinned
from kernel.borrowed import BorrowingPlane, Lender

from microseg.abi import PolicyMap, encode
from microseg.analysis.examine import examine
from microseg.cli.clock import now
from microseg.kernel.flows import Flows
from microseg.kernel.sandbox import sandbox
from microseg.reconcile import rehearsal
from microseg.source import DirectoryTree

pytestmark = pytest.mark.kernel


@pytest.fixture
def instance(tmp_path: Path, pins: Path) -> Session:
    session = Session(tmp_path)
    with session.settings.open("a") as settings:
        settings.write(f'pin_dir = "{pins / "instance"}"\n')
    return session


@pytest.fixture
def borrowed(lender: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is loaded for a moment borrowed."""
    lender.forget_everything()
    monkeypatch.setattr("microseg.kernel.sandbox.PinnedDataPlane", lambda path: BorrowingPlane(path, lender))


def test_tests_hold_in_the_kernel_and_nothing_is_left(instance: Session, pins: Path) -> None:
    output = instance.expect(0, "test", "--kernel")
    assert "1 test passed: 1 expectation proved." in output
    assert "The kernel judges 3 packets of theirs as the policy says." in output
    assert pinned(pins) == []


@pytest.mark.usefixtures("borrowed")
def test_a_test_that_fails_fails_beside_the_kernel(instance: Session, pins: Path) -> None:
    instance.write(FAILING)
    report = instance.objects("test", "--kernel", code=1)
    assert report["kernel"] == {"packets": 3}
    assert len(report["tests"][0]["failures"]) == 1
    assert pinned(pins) == []


@pytest.mark.usefixtures("borrowed")
def test_an_entry_that_is_not_what_was_compiled_is_noticed(instance: Session, pins: Path) -> None:
    compilation = examine(DirectoryTree(instance.policies), now().date()).compilation
    assert compilation.image
    contents = encode(compilation.image)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = pins / f"instance-sandbox-{dead.pid}"
    (left / "programs_1_of_a_killed_process" / "maps").mkdir(parents=True)
    with sandbox(pins / "instance", rehearsal.sizing_for(contents)) as plane:
        assert not left.exists()
        assert [path.name for path in pinned(pins)] == [f"instance-sandbox-{os.getpid()}"]
        rehearsal.fill(plane, contents)
        flows = Flows(plane)
        asked = rehearsal.questions(compilation.ruleset)

        def judged() -> rehearsal.Rehearsal:
            return rehearsal.rehearse(asked, lambda frame: flows.ask(frame, rehearsal.GENERATION).verdict)

        assert judged() == rehearsal.Rehearsal(len(asked), ())
        plane.write_entries(1, PolicyMap.SERVICE, {}, list(plane.read_map(1, PolicyMap.SERVICE).entries()))
        (failure,) = judged().failures
        assert "gets deny, the policy says allow" in failure.message
    assert pinned(pins) == []
