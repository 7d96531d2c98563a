from __future__ import annotations

import re

import pytest
from cli.terminal_session import BROKEN, COMMENTED, FAILING, ONE_MORE, SHOP, Session
from reconcile.fake import FakeDataPlane

from microseg.abi import Root
from microseg.reconcile.dataplane import Attachment, Hook, KernelError, Loaded
from microseg.reconcile.lock import Lock


def test_the_first_apply_says_what_it_did_and_how_to_undo_it(session: Session, plane: FakeDataPlane) -> None:
    commit = session.commit("the first")

    output = session.expect(0, "apply", "-i", "eth0", "-i", "eth1")

    assert output.startswith(f"Generation 1 is in force: {commit[:10]} (the first)\n")
    assert "before    no policy, everything passed" in output
    assert "attached  eth0 (tcx), eth1 (tcx)\n  took" in output
    assert re.search(r"took      \d+\.\d\d s", output)
    assert "undo      microseg detach (everything passes again)" in output
    assert plane.root == Root(1)


def test_what_xdp_cannot_do_is_said(session: Session, plane: FakeDataPlane) -> None:
    session.commit("the first")
    output = session.expect(0, "apply", "-i", "eth0", "--hook", "xdp")
    assert "attached  eth0 (xdp)\n  xdp       judges what comes in; it can't see what goes out" in output
    assert plane.attachments() == (Attachment("eth0", Hook.XDP),)
    assert "it can't see what goes out" in session.expect(0, "attach", "-i", "eth1", "--hook", "xdp")


def test_the_program_that_traces_comes_and_goes_with_its_setting(
    session: Session, plane: FakeDataPlane
) -> None:
    session.commit("the first")
    loaded = session.type("apply", "-i", "eth0", "--debug-program")
    assert (loaded.exit_code, plane.is_debug_program()) == (0, True)
    assert "warning: the program traces each packet, which is slow: cat /sys/kernel/" in loaded.stderr
    assert "upgrade" not in loaded.stdout, "it was loaded that way at once"
    assert "program   traces each packet" in session.expect(0, "status")
    assert session.objects("status")["debug_program"]
    assert "program and maps are replaced: another one is wanted" in session.expect(0, "plan")
    output = session.expect(0, "apply")
    assert "Generation 1 stays in force, by another program." in output
    assert "upgrade   another one is wanted" in output
    assert not plane.is_debug_program()
    assert "upgrade" not in session.expect(0, "apply")
    session.settings.write_text(session.settings.read_text() + "debug_program = true\n")
    assert session.objects("plan")["upgrade"] == ["another one is wanted"]
    session.expect(0, "apply")
    assert plane.is_debug_program()


def test_a_program_that_cannot_be_replaced_leaves_all_as_it_was_unless_it_may_stay(
    session: Session, plane: FakeDataPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(sizing: object, *, debug: bool) -> Loaded:
        del sizing
        raise KernelError(f"the kernel refuses the program, {debug=}", log="verifier's words")

    session.commit("the first")
    session.expect(0, "apply", "-i", "eth0")
    monkeypatch.setattr(plane, "load", refuse)
    session.write(ONE_MORE)
    result = session.type("apply", "--debug-program")
    assert result.exit_code == 4
    assert "failed at step load: the kernel refuses the program, debug=True" in result.stderr
    assert "stands: generation 1 is in force, as before" in result.stderr
    assert "verifier's words" in result.stderr
    assert "try: " in result.stderr
    assert "--keep-program" in result.stderr
    assert "Generation 2 is in force" in session.expect(0, "apply", "--debug-program", "--keep-program")


def test_a_change_names_both_revisions(session: Session) -> None:
    first = session.commit("the first")
    session.expect(0, "apply", "-i", "eth0")
    session.write(ONE_MORE)
    second = session.commit("the second")

    output = session.expect(0, "apply")

    assert f"Generation 2 is in force: {second[:10]} (the second)" in output
    assert f"before    generation 1, {first[:10]} (the first)" in output
    assert "created, 0 updated, 0 deleted" in output
    assert "undo      microseg rollback" in output


def test_files_that_nobody_committed_are_told(session: Session) -> None:
    commit = session.commit("the first")
    session.write(ONE_MORE)
    assert f"{commit[:10]}+changes (the first)" in session.expect(0, "apply", "-i", "eth0")


def test_a_commit_is_applied_whatever_the_files_say(session: Session, plane: FakeDataPlane) -> None:
    session.commit("the first")
    session.write(BROKEN)
    assert "(the first)" in session.expect(0, "apply", "-i", "eth0", "--rev", "HEAD")
    assert plane.root == Root(1)


def test_applying_the_same_again(session: Session, plane: FakeDataPlane) -> None:
    session.expect(0, "apply", "-i", "eth0")
    output = session.expect(0, "apply", "-i", "eth0")
    assert output == "Nothing changes: generation 1 already holds exactly this policy.\n"
    assert plane.root == Root(1)


def test_a_new_revision_without_meaning_is_recorded(session: Session) -> None:
    session.commit("the first")
    session.expect(0, "apply", "-i", "eth0")
    session.write(COMMENTED)
    second = session.commit("remarks")
    output = session.expect(0, "apply")
    assert f"recorded  it is {second[:10]} (remarks) now, and was" in output
    assert second[:10] in session.expect(0, "status")


def test_a_wrong_policy_leaves_the_old_one_and_says_so(session: Session, plane: FakeDataPlane) -> None:
    commit = session.commit("the first")
    session.expect(0, "apply", "-i", "eth0")
    before = plane.enforced()
    session.write(BROKEN)

    result = session.type("apply")

    assert result.exit_code == 1
    assert plane.enforced() == before
    assert "error[MS202]" in result.stderr
    assert "error: the policy is wrong; nothing was changed" in result.stderr
    assert f"stands: generation 1 is in force, as before: {commit[:10]} (the first)" in result.stderr
    assert "try: microseg explain MS202" in result.stderr
    assert result.stdout == ""


def test_no_interface_is_a_usage_error(session: Session, plane: FakeDataPlane) -> None:
    result = session.type("apply")
    assert result.exit_code == 64
    assert "--interface eth0" in result.stderr
    assert not plane.loaded


def test_interfaces_and_hook_from_the_file_and_the_environment(
    session: Session, plane: FakeDataPlane
) -> None:
    session.settings.write_text(session.settings.read_text() + 'interfaces = ["eth1"]\nhook = "clsact"\n')
    session.expect(0, "apply")
    assert plane.attached == {"eth1": Hook.CLSACT}
    assert session.type("apply", MICROSEG_INTERFACES="eth0 eth1").exit_code == 0
    assert set(plane.attached) == {"eth0", "eth1"}


def test_more_interfaces_for_the_same_policy(session: Session) -> None:
    session.expect(0, "apply", "-i", "eth0")
    output = session.expect(0, "apply", "-i", "eth0", "-i", "eth1")
    assert "Generation 1 stays in force, on more interfaces." in output
    assert "undo      microseg detach --interface eth1" in output


def test_failing_policy_tests_are_a_guard(session: Session, plane: FakeDataPlane) -> None:
    session.write(FAILING)
    result = session.type("apply", "-i", "eth0")
    assert result.exit_code == 3
    assert "1 policy test fails" in result.stderr
    assert "--allow-failing-tests" in result.stderr
    assert not plane.loaded
    session.expect(0, "apply", "-i", "eth0", "--allow-failing-tests")


def test_a_map_too_small_is_an_error_with_the_setting_to_raise(
    session: Session, plane: FakeDataPlane
) -> None:
    session.settings.write_text(session.settings.read_text() + "[maps]\nrules = 2\n")
    result = session.type("apply", "-i", "eth0")
    assert result.exit_code == 1
    assert "MS403" in result.stderr
    assert "rules =" in result.stderr
    assert not plane.loaded


def test_a_failure_on_the_way_says_what_stands(session: Session, plane: FakeDataPlane) -> None:
    session.expect(0, "apply", "-i", "eth0")
    session.write(ONE_MORE)
    result = session.type("apply", "-i", "eth0", "-i", "eth9")
    assert result.exit_code == 4
    assert "failed at step attach: there is no interface eth9" in result.stderr
    assert "stands: generation 1 is in force, as before" in result.stderr
    assert plane.root == Root(1)


def test_the_verifiers_words_are_quoted(session: Session, plane: FakeDataPlane) -> None:
    def refuse(sizing: object, *, debug: bool = False) -> Loaded:
        del sizing, debug
        raise KernelError("the kernel rejects the program", advice="report it", log="R1 is\nnot a pointer")

    plane.load = refuse  # type: ignore[method-assign]
    result = session.type("apply", "-i", "eth0")
    assert result.exit_code == 4
    assert "  | R1 is\n  | not a pointer\n" in result.stderr
    log = session.folder / "state" / "last-failure.log"
    assert f"report it; all of that is in {log}" in result.stderr
    assert log.read_text() == "R1 is\nnot a pointer\n"
    error = session.objects("apply", "-i", "eth0", code=4)["error"]
    assert error["details"] == ["  | R1 is", "  | not a pointer"]


def test_a_second_writer_is_told_who_is_first(session: Session, plane: FakeDataPlane) -> None:
    with Lock(session.folder / "run", "microseg agent"):
        result = session.type("apply", "-i", "eth0")
    assert result.exit_code == 1
    assert "(microseg agent) is changing this instance" in result.stderr
    assert "--lock-timeout" in result.stderr
    assert not plane.loaded


def test_json(session: Session) -> None:
    commit = session.commit("the first")
    done = session.objects("apply", "-i", "eth0")
    assert (done["generation"], done["changed"], done["previous_generation"]) == (1, True, 0)
    assert done["revision"]["commit"] == commit
    session.write(BROKEN)
    error = session.objects("apply", code=1)["error"]
    assert error["kind"] == "PolicyError"
    assert error["diagnostics"][0]["code"] == "MS202"
    assert "generation 1" in error["stands"]


def test_rollback(session: Session, plane: FakeDataPlane) -> None:
    first = session.commit("the first")
    session.expect(0, "apply", "-i", "eth0")
    session.write(ONE_MORE)
    second = session.commit("the second")
    session.expect(0, "apply")

    output = session.expect(0, "rollback")

    assert f"Generation 1 is in force again: {first[:10]} (the first)" in output
    assert f"before    generation 2, {second[:10]} (the second)" in output
    assert plane.root == Root(1)
    result = session.type("rollback")
    assert result.exit_code == 3
    assert "there is nothing to go back to" in result.stderr
    assert session.objects("status")["generation"] == 1


def test_rollback_as_json(session: Session) -> None:
    session.expect(0, "apply", "-i", "eth0")
    session.write(ONE_MORE)
    session.expect(0, "apply")
    done = session.objects("rollback")
    assert (done["generation"], done["previous_generation"]) == (1, 2)


def test_status_before_and_after(session: Session, plane: FakeDataPlane) -> None:
    assert session.expect(0, "status") == (
        "Nothing is loaded: everything passes.\n  next      microseg apply\n"
    )
    commit = session.commit("the first")
    session.expect(0, "apply", "-i", "eth0")

    output = session.expect(0, "status")

    assert output.startswith("Generation 1 is in force.\n")
    assert f"revision  {commit[:10]} (the first)" in output
    assert "attached  eth0 (tcx)" in output
    assert "default   deny, logged" in output
    assert "(apply)" in output
    status = session.objects("status")
    assert status["entries"]["policy"] == 4
    assert status["way_back"] is None
    assert status["problems"] == []
    plane.attached.clear()
    nowhere = session.expect(0, "status")
    assert "in force, but nowhere" in nowhere
    assert "next      microseg attach --interface NAME" in nowhere


def test_status_after_a_refusal_tells_of_it(session: Session) -> None:
    session.expect(0, "apply", "-i", "eth0")
    session.write(BROKEN)
    session.type("apply")
    assert "last      apply refused" in session.expect(0, "status")


def test_status_sees_what_somebody_altered(session: Session, plane: FakeDataPlane) -> None:
    session.expect(0, "apply", "-i", "eth0")
    for entries in plane.maps.values():
        entries.clear()
    assert "somebody changed them" in session.type("status").stderr


def test_status_of_an_unconfirmed_and_of_a_reverted_apply(session: Session, plane: FakeDataPlane) -> None:
    session.expect(0, "apply", "-i", "eth0")
    session.write(ONE_MORE)
    session.expect(0, "apply")
    plane.root = Root(2, plane.boot_s + 30)
    assert "confirm   within 30 s (microseg confirm), or generation 1 comes back by itself" in session.expect(
        0, "status"
    )
    plane.boot_s += 30
    result = session.type("status")
    assert "Generation 1 is in force." in result.stdout
    assert "generation 2 was not confirmed in time" in result.stderr


def test_attach_and_detach(session: Session, plane: FakeDataPlane) -> None:
    result = session.type("attach", "-i", "eth0")
    assert result.exit_code == 3
    assert "no policy is in force" in result.stderr
    session.expect(0, "apply", "-i", "eth0")

    output = session.expect(0, "attach", "-i", "eth1")
    assert "Attached: eth1 (tcx)" in output
    assert "undo      microseg detach --interface eth1" in output
    assert "Nothing changes" in session.expect(0, "attach", "-i", "eth1")
    session.expect(64, "attach")

    output = session.expect(0, "detach", "-i", "eth1")
    assert "Detached: eth1. Everything passes there now." in output
    assert session.objects("attach", "-i", "eth1") == {"attached": ["eth1"], "now": ["eth0", "eth1"]}
    assert session.objects("detach", "-i", "eth1")["detached"] == ["eth1"]
    session.expect(3, "detach", "-i", "eth1")

    output = session.expect(0, "detach")
    assert "Enforcement has ended: everything passes." in output
    assert not plane.loaded
    assert "Nothing to do" in session.expect(0, "detach")


def test_a_state_directory_that_cannot_be_written_is_told(session: Session, plane: FakeDataPlane) -> None:
    (session.folder / "state").write_text("a file, not a folder")
    result = session.type("apply", "-i", "eth0")
    assert result.exit_code == 4
    assert str(session.folder / "state") in result.stderr
    assert not plane.loaded


def test_an_unusable_setting_is_64(session: Session) -> None:
    session.settings.write_text("policydir = 3\n")
    result = session.type("apply")
    assert result.exit_code == 64
    assert "did you mean policy_dir?" in result.stderr


@pytest.mark.parametrize("text", [SHOP, ONE_MORE])
def test_git_that_refuses_costs_only_the_revision(
    session: Session, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.commit("the first")
    session.write(text)
    monkeypatch.setenv("PATH", "/nonexistent")
    result = session.type("apply", "-i", "eth0")
    assert result.exit_code == 0
    assert "the program git isn't installed; the revision is not known" in result.stderr
    assert "files outside git" in result.stdout
