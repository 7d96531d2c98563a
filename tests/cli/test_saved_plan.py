from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.terminal_session import COMMENTED, ONE_MORE, SHOP, Session
from reconcile.fake import FakeDataPlane

from microseg.abi import PolicyMap, Root


@pytest.fixture
def file(session: Session, plane: FakeDataPlane) -> Path:
    """A plan for a second policy, while the first one is in force."""
    session.commit("the first")
    session.expect(0, "apply", "-i", "eth0")
    session.write(ONE_MORE)
    session.commit("one more")
    path = session.folder / "plan.json"
    output = session.expect(0, "plan", "--out", str(path))
    assert output.endswith(f"The plan is saved. To carry it out, and nothing else: microseg apply {path}\n")
    assert plane.root == Root(1)
    return path


def test_a_saved_plan_is_carried_out_once(session: Session, plane: FakeDataPlane, file: Path) -> None:
    assert "Generation 2 is in force" in session.expect(0, "apply", str(file))
    session.expect(0, "rollback")
    result = session.type("apply", str(file))
    assert result.exit_code == 3
    assert "error: the saved plan is stale: it was used already, at " in result.stderr
    assert "try: look at what would change now, and save that: microseg plan --out FILE" in result.stderr
    assert plane.root == Root(1)


def test_a_first_apply_from_a_plan_attaches_where_it_said(session: Session, plane: FakeDataPlane) -> None:
    path = session.folder / "plan.json"
    session.expect(0, "plan", "-i", "eth1", "--hook", "clsact", "--audit", "--out", str(path))
    session.expect(0, "apply", str(path))
    assert [(it.interface, it.hook.value) for it in plane.attachments()] == [("eth1", "clsact")]
    assert "Nothing changes" in session.expect(0, "plan", "--audit")


def test_a_plan_of_a_commit(session: Session, plane: FakeDataPlane) -> None:
    session.commit("the first")
    path = session.folder / "plan.json"
    session.expect(0, "plan", "-i", "eth1", "--rev", "main", "--out", str(path))
    session.write(ONE_MORE)
    session.commit("main moves on")
    stale = session.type("apply", str(path))
    assert stale.exit_code == 3
    assert "(main moves on) now, and was" in stale.stderr
    assert not plane.loaded


def another_text(session: Session, _: FakeDataPlane) -> str:
    session.write(ONE_MORE.replace("9000", "9001"))
    return "+changes"


def another_commit(session: Session, _: FakeDataPlane) -> str:
    session.write(COMMENTED)
    session.commit("remarks")
    return "(remarks) now, and was"


def somebody_applied(session: Session, _: FakeDataPlane) -> str:
    session.expect(0, "apply", "--rev", "HEAD")
    session.write(ONE_MORE)
    return "generation 2 is in force now, and it was 1"


def somebody_altered_the_kernel(_: Session, plane: FakeDataPlane) -> str:
    entries = plane.maps[1, PolicyMap.POLICY]
    del entries[next(iter(entries))]
    return "the entries in the kernel are others now"


def detached(session: Session, _: FakeDataPlane) -> str:
    session.expect(0, "detach")
    return "generation 0 is in force now, and it was 1"


@pytest.mark.parametrize(
    "change", [another_text, another_commit, somebody_applied, somebody_altered_the_kernel, detached]
)
def test_a_stale_plan_changes_nothing(
    session: Session, plane: FakeDataPlane, file: Path, change: Callable[[Session, FakeDataPlane], str]
) -> None:
    words = change(session, plane)
    before = plane.enforced()
    result = session.type("apply", str(file))
    assert result.exit_code == 3
    assert "the saved plan is stale" in result.stderr
    assert words in result.stderr
    assert plane.enforced() == before


def test_another_compiler_makes_it_stale(
    session: Session, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microseg.reconcile.saved.fingerprint", lambda: "another")
    assert "another version of microseg made it" in session.type("apply", str(file)).stderr


def test_uncommitted_text_that_changes_again_is_stale(session: Session, plane: FakeDataPlane) -> None:
    path = session.folder / "plan.json"
    session.expect(0, "plan", "-i", "eth1", "--out", str(path))
    session.write(ONE_MORE)
    assert (
        "the policy's files changed, or a rule has expired since" in session.type("apply", str(path)).stderr
    )
    session.write(SHOP)
    session.expect(0, "apply", str(path))
    assert plane.root == Root(1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"generation": 1', '"generation": 3'),
        lambda text: text[: len(text) // 2],
        lambda text: "{}" if text else "",
        lambda text: "not JSON" if text else "",
        lambda text: json.dumps(json.loads(text) | {"format": "microseg-saved-plan-9"}),
    ],
)
def test_a_damaged_file_is_a_clear_error(
    session: Session, plane: FakeDataPlane, file: Path, damage: Callable[[str], str]
) -> None:
    file.write_text(damage(file.read_text()))
    result = session.type("apply", str(file))
    assert result.exit_code == 1
    assert f"error: {file} is no saved plan, or damaged: " in result.stderr
    assert plane.root == Root(1)


def test_a_file_that_is_not_there_and_options_that_contradict_it(session: Session, file: Path) -> None:
    assert session.type("apply", str(file) + "x").exit_code == 4
    assert session.type("apply", str(file), "--audit").exit_code == 64
    assert session.type("apply", str(file), "--rev", "HEAD").exit_code == 64
    assert session.type("plan", "--against", "HEAD", "--out", str(file)).exit_code == 64


def test_a_plan_that_changes_nothing_is_used_up_too(session: Session) -> None:
    session.expect(0, "apply", "-i", "eth0")
    path = session.folder / "plan.json"
    session.expect(0, "plan", "--out", str(path))
    assert "Nothing changes" in session.expect(0, "apply", str(path))
    assert session.type("apply", str(path)).exit_code == 3
