"""lint and test in the formats of other programs."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from cli.terminal_session import BROKEN, FAILING, SHOP, Session
from output.test_formats import LINT, TEST, validate_sarif


@pytest.fixture(autouse=True)
def _at_the_root_of_the_repository(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(session.folder)


def test_lint_as_sarif(session: Session) -> None:
    session.write(BROKEN)
    log = json.loads(session.expect(1, "lint", "--format", "sarif"))
    validate_sarif(log)
    (result,) = log["runs"][0]["results"]
    assert result["ruleId"] == "MS202"
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert (session.folder / place).is_file()
    rule = log["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]
    assert rule["help"]["markdown"].startswith("# MS202")


def test_lint_as_annotations(session: Session) -> None:
    session.write(BROKEN)
    annotation, last = session.expect(1, "lint", "--format", "github").splitlines()
    assert annotation.startswith("::error title=MS202")
    assert "file=policies.d/shop.mseg,line=1,endLine=1,col=13" in annotation
    assert last == "The policy is wrong: 1 error in 1 file."


def test_lint_and_test_as_json(session: Session) -> None:
    jsonschema.validate(session.objects("lint"), LINT)
    jsonschema.validate(session.objects("test"), TEST)
    session.write(FAILING)
    report = session.objects("test", code=1)
    jsonschema.validate(report, TEST)
    assert not report["passed"]


def test_test_as_junit(session: Session) -> None:
    root = ET.fromstring(session.expect(0, "test", "--format", "junit"))
    assert (root.attrib["tests"], root.attrib["failures"]) == ("1", "0")
    session.write(FAILING)
    root = ET.fromstring(session.expect(1, "test", "--format", "junit"))
    (case,) = root.iter("testcase")
    (failure,) = root.iter("failure")
    assert case.attrib["file"] == "policies.d/shop.mseg"
    assert case.attrib["name"] == "the database listens to the web"
    assert failure.attrib["type"] == "MS320"
    assert "10.1.1." in str(failure.text)


def test_a_wrong_policy_is_an_error_in_junit_too(session: Session) -> None:
    session.write(BROKEN)
    root = ET.fromstring(session.expect(1, "test", "--format", "junit"))
    (error,) = root.iter("error")
    assert "shop.mseg:1:13" in error.attrib["message"]


def test_a_policy_file_whose_name_is_not_text(session: Session) -> None:
    (session.policies / "\udcff.mseg").write_text(SHOP.replace("shop", "shop2") + "group x = 1.2.3.999\n")
    for form in ("text", "json", "sarif", "github"):
        assert "MS201" in session.expect(1, "lint", "--format", form)
    assert "MS201" in session.type("test").stderr
    assert "error" in session.expect(1, "test", "--format", "junit")
