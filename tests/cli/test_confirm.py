from __future__ import annotations

import pytest
from cli.terminal_session import ONE_MORE, Session
from reconcile.fake import FakeDataPlane

from microseg.abi import Root


def test_an_apply_that_waits_to_be_confirmed_says_how_long_and_for_what(
    session: Session, plane: FakeDataPlane
) -> None:
    session.commit("the first")
    first = session.expect(0, "apply", "-i", "eth0", "--confirm-within", "90s")
    assert (
        "confirm   microseg confirm, within 1 min 30 s; otherwise no policy (everything passes) comes"
        in first
    )
    assert "undo      microseg rollback" in first
    assert "left      1 min 31 s" in session.expect(0, "confirm")
    assert "Nothing waits to be confirmed" in session.expect(0, "confirm")
    session.write(ONE_MORE)
    assert session.objects("apply", "--confirm-within", "2h")["confirm_within_s"] == 7200
    assert session.objects("status")["confirm_within_s"] == 7201
    refused = session.type("apply")
    assert refused.exit_code == 3
    assert "try: microseg confirm, or microseg rollback" in refused.stderr
    plane.boot_s += 7201
    late = session.type("confirm")
    assert late.exit_code == 3
    assert "it is too late: generation 2 was not confirmed in time" in late.stderr
    assert session.objects("rollback", code=3)


def test_rolling_an_unconfirmed_first_apply_back(session: Session, plane: FakeDataPlane) -> None:
    session.expect(0, "apply", "-i", "eth0", "--confirm-within", "5m")
    assert "No policy is in force any more" in session.expect(0, "rollback")
    assert plane.root == Root()


@pytest.mark.parametrize("time", ["0", "5 minutes", "-3s", "1.5h", "999h"])
def test_a_time_that_is_none(session: Session, time: str) -> None:
    result = session.type("apply", "-i", "eth0", "--confirm-within", time)
    assert result.exit_code == 64
    assert "such as 90s, 5m or 2h" in result.stderr


def test_restore(session: Session, plane: FakeDataPlane) -> None:
    assert "nothing to restore" in session.expect(0, "restore")
    commit = session.commit("the first")
    session.expect(0, "apply", "-i", "eth0", "-i", "eth1")
    plane.forget()
    plane.interfaces = {"eth0"}
    result = session.type("restore")
    assert result.exit_code == 4
    assert f"Generation 3 is in force: {commit[:10]} (the first)" in result.stdout
    assert "restored  generation 1, confirmed 2" in result.stdout
    assert "attached  eth0 (tcx)" in result.stdout
    assert "not attached, since there is no such interface: eth1" in result.stderr
    assert session.objects("restore", code=4)["missing"] == ["eth1"]
    plane.interfaces.add("eth1")
    assert session.objects("restore")["attached"] == [{"interface": "eth1", "hook": "tcx"}]
    assert "was left alone" in session.expect(0, "restore")


def test_an_image_that_cannot_be_restored(session: Session, plane: FakeDataPlane) -> None:
    session.expect(0, "apply", "-i", "eth0")
    plane.forget()
    (session.folder / "state" / "generations" / "1.image.gz").write_bytes(b"garbage")
    result = session.type("restore")
    assert result.exit_code == 1
    assert "it was set aside as 1.image.gz.broken-1" in result.stderr
    assert "stands: no policy is in force: everything passes" in result.stderr
    assert "try: microseg apply" in result.stderr
