from __future__ import annotations

import json

import jsonschema
import pytest
from cli.terminal_session import BROKEN, ONE_MORE, Session
from reconcile.fake import FakeDataPlane
from tree import ROOT

SCHEMA = json.loads((ROOT / "docs" / "schemas" / "microseg-query-1.schema.json").read_text())


def test_one_packet(session: Session, plane: FakeDataPlane) -> None:
    assert (
        session.expect(0, "query", "10.1.1.7", "->", "10.1.3.10", ":", "tcp/5432")
        == """\
10.1.1.7 -> 10.1.3.10 : tcp/5432
  source   in any, web
  target   in any, db
  service  in any, tcp/5432

Allowed, logged by allow web -> db : tcp/5432 log  shop.mseg:4
  10.1.1.7 -> 10.1.3.10 : tcp/5432
      such as  10.1.1.7 -> 10.1.3.10 : tcp/5432 from 49152
  otherwise  denied by deny any -> db : any  shop.mseg:5
"""
    )
    assert plane.calls == []


def test_sets_are_answered_part_by_part(session: Session) -> None:
    session.write(ONE_MORE.replace("deny  any", "reject any"))
    made = session.objects("query", "web -> any : tcp")
    jsonschema.validate(made, SCHEMA)
    answers = [(each["verdict"], each["rule"]["line"]) for each in made["answers"]]
    assert answers == [("allow", 4), ("allow", 5), ("reject", 6), ("deny", 8)]
    parts = [part["packets"]["text"] for each in made["answers"] for part in each["parts"]]
    assert parts[:2] == ["web -> db : tcp/5432", "web -> db : tcp/9000"]
    assert "web -> any - db : tcp" in parts
    assert [each["rule"]["line"] for each in made["answers"][0]["otherwise"]] == [6]


def test_the_default_and_audit(session: Session) -> None:
    output = session.expect(0, "query", "10.9.9.9 -> 10.8.8.8", "--audit")
    assert "Audited, so let pass, logged by default deny log  shop.mseg:7" in output
    assert "source   in any\n" in output
    session.write("policy p { allow 10.0.0.1 -> 10.0.0.2 }")
    assert "target   in no set of a rule" in session.expect(0, "query", "10.0.0.1 -> 10.0.0.3")


def test_a_question_about_no_packet(session: Session) -> None:
    assert "There is no such packet" in session.expect(0, "query", "10.0.0.1 -> fe80::1")
    assert session.objects("query", "10.0.0.1 -> fe80::1")["answers"] == []


def test_the_policy_of_a_commit(session: Session) -> None:
    session.commit("the first")
    session.write(BROKEN)
    assert "Allowed" in session.expect(0, "query", "--rev", "HEAD", "web -> db : tcp/5432")
    assert "error[MS202]" in session.type("query", "web -> db").stderr
    session.expect(1, "query", "web -> db")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["10.1.1.7", "-"], "write it in quotes"),
        (["web <-> db"], "is not a packet"),
        (["nobody -> db"], "error[MS101]"),
        (["web -> db", "--ref", "x"], "--ref"),
        ([], "PACKETS"),
    ],
)
def test_what_is_no_question(session: Session, words: list[str], message: str) -> None:
    result = session.type("query", *words)
    assert result.exit_code == 64
    assert message in result.stderr
