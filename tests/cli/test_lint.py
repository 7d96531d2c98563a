from __future__ import annotations

import json

from cli.terminal_session import BROKEN, FAILING, SHOP, Session


def test_a_valid_policy(session: Session) -> None:
    assert session.expect(0, "lint") == "The policy is valid: 1 file, 2 rules, nothing to remark.\n"


def test_another_directory_may_be_named(session: Session) -> None:
    other = session.folder / "other"
    other.mkdir()
    (other / "a.mseg").write_text(BROKEN)
    session.expect(1, "lint", str(other))
    session.expect(1, "lint", "--policy-dir", str(other))
    session.expect(0, "lint")


def test_every_mistake_of_every_file_with_its_place(session: Session) -> None:
    session.write(BROKEN)
    session.write("policy p { allow nobody -> any }\n", "other.mseg")

    output = session.expect(1, "lint")

    assert "error[MS202]" in output
    assert "shop.mseg:1:13" in output
    assert "other.mseg:1:" in output
    assert output.endswith("The policy is wrong: 2 errors in 2 files.\n")


def test_json(session: Session) -> None:
    session.write(BROKEN)
    (found,) = session.objects("lint", code=1)["diagnostics"]
    assert (found["code"], found["severity"], found["span"]["line"]) == ("MS202", "error", 1)


def test_warnings_are_an_error_only_when_asked(session: Session) -> None:
    session.write(SHOP + "group unused = 10.9.9.9\n")
    assert "warning[" in session.expect(0, "lint")
    session.expect(1, "lint", "--deny-warnings")


def test_a_directory_without_policies_is_more_likely_a_wrong_path(session: Session) -> None:
    empty = session.folder / "empty"
    empty.mkdir()
    result = session.type("lint", str(empty))
    assert result.exit_code == 1
    assert "there is no policy file" in result.stderr
    assert "MICROSEG_POLICY_DIR" in result.stderr


def test_a_directory_that_is_not_there(session: Session) -> None:
    result = session.type("lint", str(session.folder / "nowhere"))
    assert result.exit_code == 1
    assert "there is no policy directory" in result.stderr
    assert "microseg init" in result.stderr


def test_tests_are_proved(session: Session) -> None:
    output = session.expect(0, "test")
    assert "ok   the database listens to the web (1 expectation)" in output
    assert output.endswith("1 test passed: 1 expectation proved.\n")


def test_a_failing_test_shows_a_packet(session: Session) -> None:
    session.write(FAILING)
    output = session.expect(1, "test")
    assert "FAIL the database listens to the web" in output
    assert "error[MS320]" in output
    assert "10.1.1." in output
    (test,) = session.objects("test", code=1)["tests"]
    assert not test["passed"]
    assert test["failures"][0]["code"] == "MS320"


def test_tests_of_a_commit(session: Session) -> None:
    session.commit("good")
    session.write(FAILING)
    session.expect(0, "test", "--rev", "HEAD")
    session.expect(1, "test")


def test_tests_of_a_wrong_policy_are_not_proved(session: Session) -> None:
    session.write(BROKEN)
    result = session.type("test")
    assert result.exit_code == 1
    assert "error[MS202]" in result.stderr


def test_colors_are_for_terminals_only(session: Session) -> None:
    session.write(BROKEN)
    assert "\x1b[" not in session.type("lint").output


def test_explaining_a_code(session: Session) -> None:
    assert "MS301" in session.expect(0, "explain", "ms301")
    assert "MS320" in session.expect(0, "explain")
    result = session.type("explain", "MS3O1")
    assert result.exit_code == 64
    assert "Did you mean MS3" in result.stderr


def test_errors_as_json_go_to_standard_output(session: Session) -> None:
    output = session.expect(1, "lint", "--format", "json", str(session.folder / "nowhere"))
    error = json.loads(output)["error"]
    assert error["kind"] == "NoPolicyError"


def test_fixing_what_is_safe(session: Session) -> None:
    session.write("# kept\ngroup unused = 10.9.9.9\n" + SHOP)
    output = session.expect(0, "lint", "--fix", "--deny-warnings")
    assert output.startswith("fixed MS306  shop.mseg:2:7: group `unused` is used nowhere\n")
    assert (session.policies / "shop.mseg").read_text() == "# kept\n" + SHOP
    assert session.objects("lint", "--fix")["fixed"] == []
    assert [path.name for path in session.policies.iterdir()] == ["shop.mseg"]


def test_fixing_leaves_the_rest_to_people(session: Session) -> None:
    session.write(BROKEN + "group unused = 10.9.9.9\n")
    session.expect(1, "lint", "--fix")
    assert (session.policies / "shop.mseg").read_text() == BROKEN + "group unused = 10.9.9.9\n"


def test_a_reviewer_s_remarks_and_options(session: Session) -> None:
    session.write(
        SHOP.replace("deny  any -> db", "allow any -> db expires 2099-01-01\n  deny web -> db : tcp/5432")
    )
    output = session.expect(0, "lint")
    assert "warning[MS316]" in output
    assert "warning[MS301]" in output
    settings = session.settings.read_text()
    session.settings.write_text(settings + "[lint]\ntoo_open = []\n")
    assert "MS316" not in session.expect(0, "lint")
    session.settings.write_text(settings + '[lint]\ntoo_open = ["north"]\n')
    session.expect(64, "lint")


def test_severities_by_code(session: Session) -> None:
    session.write(SHOP + "group unused = 10.9.9.9\n")
    settings = session.settings.read_text()
    session.settings.write_text(settings + '[lint]\nMS306 = "error"\n')
    assert "error[MS306]" in session.expect(1, "lint")
    session.settings.write_text(settings + '[lint]\nMS306 = "off"\n')
    assert "nothing to remark" in session.expect(0, "lint", "--deny-warnings")
    session.settings.write_text(settings + '[lint]\nMS202 = "off"\n')
    assert "stays one" in session.type("lint").stderr
    session.expect(64, "lint")
    session.settings.write_text(settings + "lint = 3\n")
    session.expect(64, "lint")
