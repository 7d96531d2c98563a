from __future__ import annotations

import json
import re
import shutil
from ipaddress import ip_address

import jsonschema
import pytest
from cli.fake_flows import FakeFlows
from cli.terminal_session import BROKEN, COMMENTED, ONE_MORE, SHOP, Session
from reconcile.fake import FakeDataPlane
from tree import ROOT

from microseg.abi import PolicyMap, decode_policy_value
from microseg.abi_session import Session as LiveSession
from microseg.abi_session import SessionFlag, State
from microseg.policy.rules import Verdict
from microseg.reconcile.dataplane import KernelAccessError

SCHEMA = json.loads((ROOT / "docs" / "schemas" / "microseg-plan-1.schema.json").read_text())
WRITING = {"load", "unload", "attach", "detach", "write_root", "write_config", "write_entries"}


def test_a_first_plan_says_what_it_would_load_and_attach(session: Session, plane: FakeDataPlane) -> None:
    output = session.expect(0, "plan", "--interface", "eth0")

    assert "Plan: from nothing (no program is loaded, everything passes)" in output
    assert "attach    eth0 (tcx)" in output
    assert "Newly denied, allowed so far" in output
    assert "except  web -> db : tcp/5432" in output
    assert "shop.mseg:5" in output
    assert "(--entries shows them). Nothing has been changed. To do it: microseg apply" in output
    assert not WRITING & set(plane.calls)
    assert not (session.folder / "state").exists()
    assert not (session.folder / "run").exists()


def test_detailed_exit_codes(session: Session) -> None:
    session.expect(2, "plan", "-i", "eth0", "--detailed-exitcode")
    session.expect(0, "plan", "-i", "eth0")
    session.expect(0, "apply", "-i", "eth0")
    assert "Nothing changes: the kernel already holds exactly this policy" in session.expect(
        0, "plan", "--detailed-exitcode"
    )


def test_a_comment_or_another_layout_changes_nothing(session: Session) -> None:
    session.expect(0, "apply", "-i", "eth0")
    session.write(COMMENTED)
    assert "Nothing changes" in session.expect(0, "plan", "--detailed-exitcode")


def test_a_change_shows_its_rules_counts_and_entries(session: Session) -> None:
    session.expect(0, "apply", "-i", "eth0")
    session.write(ONE_MORE)

    output = session.expect(2, "plan", "--entries", "--detailed-exitcode")

    assert (
        """
Newly allowed, denied so far
  + web -> db : tcp/9000
      so far  deny any -> db : any  shop.mseg:5
      now     allow web -> db : tcp/9000  shop.mseg:5
      such as 10.1.1.1 -> 10.1.3.10 : tcp/9000 from 49152
"""
        in output
    )
    assert "  + allow web -> db : tcp/9000  shop.mseg:5" in output
    assert "+ services: tcp/9000: any, tcp/9000" in output
    assert "+ policy: web -> db : tcp/9000: allow, precedence" in output


def test_a_deleted_rule_is_named_from_the_records(session: Session) -> None:
    session.write(ONE_MORE)
    session.expect(0, "apply", "-i", "eth0")
    session.write(SHOP)
    assert "so far  allow web -> db : tcp/9000  shop.mseg:5" in session.expect(0, "plan")
    output = session.expect(0, "plan", "--entries")
    assert "- allow web -> db : tcp/9000" in output
    assert "was shop.mseg:5" in output
    assert "- services: tcp/9000: any, tcp/9000" in output


def test_other_words_of_the_same_rule(session: Session) -> None:
    session.expect(0, "apply", "-i", "eth0")
    session.write(SHOP.replace("tcp/5432 log", "tcp/5432").replace("default deny log", "default allow"))
    output = session.expect(0, "plan", "--entries")
    assert "No longer logged, allowed as before\n  ~ web -> db : tcp/5432" in output
    assert "default   deny, logged => allow" in output
    assert "~ allow web -> db : tcp/5432" in output
    assert "(no longer logged)" in output


def test_audit_is_a_change_of_verdicts(session: Session) -> None:
    session.expect(0, "apply", "-i", "eth0")
    output = session.expect(2, "plan", "--audit", "--detailed-exitcode", "--entries")
    assert "Now audited, denied so far" in output
    assert "deny => audit" in output
    assert "default   deny, logged => audit, logged" in output


def test_plan_without_an_interface_says_that_an_apply_would_refuse(session: Session) -> None:
    result = session.type("plan")
    assert result.exit_code == 0
    assert "an apply would be refused now: no interface is named" in result.stderr


def test_json_has_everything(session: Session) -> None:
    made = session.objects("plan", "-i", "eth0", "--entries")
    jsonschema.validate(made, SCHEMA)
    assert session.objects("plan", "-i", "eth0") == made | {"entries": None}
    assert made["load"]
    assert not made["empty"]
    assert made["attach"] == [{"interface": "eth0", "hook": "tcx"}]
    assert made["counts"]["create"] == len(made["entries"])
    assert made["refusal"] is None
    assert made["room"]["policy"]["needed"] == made["maps"]["policy"]["create"]
    assert made["room"]["policy"]["most"] == ["policy shop (2)"]
    rules = {(rule["text"], rule["file"], rule["line"], rule["change"]) for rule in made["rules"]}
    assert ("allow web -> db : tcp/5432", "shop.mseg", 4, "create") in rules
    entry = next(entry for entry in made["entries"] if entry["map"] == "policy" and entry["rule"])
    assert bytes.fromhex(entry["after"])
    assert entry["before"] is None


def test_maps_that_are_nearly_full_are_told(session: Session) -> None:
    assert "room" not in session.expect(0, "plan", "-i", "eth0")
    needed = session.objects("plan", "-i", "eth0")["room"]["policy"]["needed"]
    session.settings.write_text(session.settings.read_text() + f"[maps]\nrules = {needed + 1}\n")
    output = session.expect(0, "plan", "-i", "eth0", "--entries")
    told = f"policy needs {needed} of {needed + 1} entries ({100 * needed // (needed + 1)}%)"
    assert f"  room      {told}, most of them for policy shop (2)\n" in output
    assert re.search(rf"\npolicy +{needed} +{needed + 1} +80%  policy shop \(2\)\n", output)


def test_against_a_commit_needs_no_kernel(session: Session, plane: FakeDataPlane) -> None:
    first = session.commit("the first")
    session.write(ONE_MORE)

    output = session.expect(2, "plan", "--against", "HEAD", "--detailed-exitcode")

    assert f"Plan: from {first[:10]} (the first)" in output
    assert f"to   {first[:10]}+changes (the first)" in output
    assert "now     allow web -> db : tcp/9000  shop.mseg:5" in output
    assert "microseg apply" not in output
    assert plane.calls == []


def test_one_commit_against_another(session: Session) -> None:
    session.commit("the first")
    session.write(ONE_MORE)
    second = session.commit("the second")
    session.write(BROKEN)

    made = session.objects("plan", "--rev", "HEAD", "--against", "HEAD~1")
    assert made["revision"] == {"commit": second, "subject": "the second", "dirty": False}
    jsonschema.validate(made, SCHEMA)
    assert [rule["text"] for rule in made["rules"]] == ["allow web -> db : tcp/9000"]
    assert session.objects("diff", "HEAD~1..HEAD") == made
    (change,) = made["changes"]
    assert change["packets"]["text"] == "web -> db : tcp/9000"
    assert change["packets"]["source"] == {"text": "web", "addresses": ["10.1.1.0/24"]}
    assert change["rules_before"][0]["line"] == 5
    assert "Nothing changes: same entries" in session.expect(0, "plan", "--rev", "HEAD", "--against", "HEAD")


def test_against_a_commit_that_is_not_there(session: Session) -> None:
    session.commit("the first")
    result = session.type("plan", "--against", "nope")
    assert result.exit_code == 1
    assert "'nope' names no commit" in result.stderr
    assert "git fetch" in result.stderr


def test_against_a_commit_outside_git(session: Session) -> None:
    result = session.type("plan", "--against", "HEAD")
    assert result.exit_code == 1
    assert "is not in a git repository" in result.stderr


def test_a_wrong_policy_is_no_plan(session: Session) -> None:
    session.write(BROKEN)
    result = session.type("plan", "-i", "eth0")
    assert result.exit_code == 1
    assert "error[MS202]" in result.stderr
    assert "nothing was changed" in result.stderr


def test_without_permission_it_says_what_to_type(session: Session, plane: FakeDataPlane) -> None:
    def refuse() -> bool:
        raise KernelAccessError("cannot open a map: EPERM", advice="run it as root")

    plane.is_loaded = refuse  # type: ignore[method-assign]
    result = session.type("plan", "-i", "eth0")
    assert result.exit_code == 4
    assert "run it as root" in result.stderr


def test_another_text_of_the_same_meaning_changes_entries_only(session: Session) -> None:
    session.commit("the first")
    session.expect(0, "apply", "-i", "eth0")
    session.write(SHOP.replace("web -> db : tcp/5432", "(web & any4) -> (db | db) : tcp/5432"))
    output = session.expect(2, "plan", "--detailed-exitcode")
    assert "No change in meaning: every packet gets what it gets now." in output
    assert "Map entries: " in output
    output = session.expect(0, "diff", "HEAD", "--detailed-exitcode")
    assert "No change in meaning" in output
    assert "No change in meaning" in session.expect(0, "diff", "HEAD", "--format", "markdown")


def test_a_diff_of_commits(session: Session) -> None:
    first = session.commit("the first")
    session.write(ONE_MORE)
    second = session.commit("the second")
    expected = f"Plan: from {first[:10]} (the first)\n      to   {second[:10]} (the second)\n"
    for revisions in ("HEAD~1..HEAD", "HEAD~1..", "HEAD~1"):
        assert session.expect(2, "diff", revisions, "--detailed-exitcode").startswith(expected)
    assert "Newly denied, allowed so far" in session.expect(0, "diff", "..HEAD~1")
    assert "same entries" in session.expect(0, "diff", "HEAD", "--detailed-exitcode")
    session.expect(64, "diff", "HEAD~1...HEAD")
    session.expect(64, "diff")
    session.expect(1, "diff", "HEAD..nope")


def test_a_comment_on_a_pull_request(session: Session) -> None:
    first = session.commit("the first")
    session.write(ONE_MORE.replace("web -> db : tcp/9000", "web | 10.9.9.9 -> db : tcp/9000"))
    assert (
        session.expect(0, "diff", "HEAD", "--format", "markdown")
        == f"""\
### microseg: from `{first[:10]} (the first)` to `{first[:10]}+changes (the first)`

**Newly allowed, denied so far**

| Packets | So far | Now | Such as |
|---|---|---|---|
| `(10.9.9.9 \\| web) -> db : tcp/9000` | `deny any -> db : any` `shop.mseg:5` | \
`allow (10.9.9.9 \\| web) -> db : tcp/9000` `shop.mseg:5` | `10.1.1.1 -> 10.1.3.10 : tcp/9000 from 49152` |

Map entries: 4 to create, 2 to update, 0 to delete.
"""
    )


def flow(client: str, server: str, port: int, protocol: int = 6) -> LiveSession:
    return LiveSession(
        client=(ip_address(client), 40000),
        server=(ip_address(server), port),
        protocol=protocol,
        packets=(1, 1),
        octets=(60, 60),
        last_seen=0,
        idle_limit=1,
        generation=1,
        rule=0,
        cookie=0,
        ifindex=1,
        verdict=Verdict.ALLOW,
        state=State.STEADY,
        flags=SessionFlag(0),
    )


def test_live_sessions_that_would_be_cut(session: Session, flows: FakeFlows) -> None:
    session.write(ONE_MORE)
    session.expect(0, "apply", "-i", "eth0")
    flows.live = [flow("10.1.1.5", "10.1.3.10", 5432), flow("10.1.1.6", "10.1.3.11", 9000)]
    assert "Sessions" not in session.expect(0, "plan")
    session.write(SHOP)
    assert """
Sessions: 1 of 2 live sessions would be cut
  - 10.1.1.6 -> 10.1.3.11 : tcp/9000 from 40000  denied by deny any -> db : any  shop.mseg:5
""" in session.expect(0, "plan")
    made = session.objects("plan")
    jsonschema.validate(made, SCHEMA)
    assert made["sessions"]["live"] == 2
    (cut,) = made["sessions"]["cut"]
    assert (cut["verdict"], cut["opened_by"]["port"], cut["rule_after"]["line"]) == ("deny", 9000, 5)
    assert "**1 of 2 live sessions would be cut**" in session.expect(0, "plan", "--format", "markdown")


def test_sessions_of_pings_and_of_protocols_without_ports(session: Session, flows: FakeFlows) -> None:
    session.write("policy p { allow any -> any : icmp/echo-request, proto/47 }")
    session.expect(0, "apply", "-i", "eth0")
    flows.live = [flow("10.0.0.1", "10.0.0.2", 40000, 1), flow("10.0.0.1", "10.0.0.2", 0, 47)]
    session.write("policy p { allow any -> any : icmp/echo-request }")
    (cut,) = session.objects("plan")["sessions"]["cut"]
    assert cut["opened_by"]["text"] == "10.0.0.1 -> 10.0.0.2 : proto/47"


def test_sessions_that_can_not_be_read_are_no_reason_not_to_plan(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.expect(0, "apply", "-i", "eth0")
    session.write(ONE_MORE)

    def refuse(_: object) -> FakeFlows:
        raise KernelAccessError("cannot open a map: EPERM")

    monkeypatch.setattr("microseg.cli.instance.open_flows", refuse)
    result = session.type("plan")
    assert "Newly allowed" in result.stdout
    assert "sessions could not be read" in result.stderr
    assert session.objects("plan")["sessions"] is None


def test_a_plan_is_made_from_what_the_kernel_really_holds(session: Session, plane: FakeDataPlane) -> None:
    session.expect(0, "apply", "-i", "eth0")
    entries = plane.live_maps()[PolicyMap.POLICY]
    rule = next(key for key, value in entries.items() if decode_policy_value(value)[2] == Verdict.ALLOW)
    del entries[rule]
    output = session.expect(2, "plan", "--detailed-exitcode")
    assert "Newly allowed, denied so far\n  + web -> db : tcp/5432\n      so far  deny any -> db" in output


def test_a_plan_without_records_still_knows_what_changes(session: Session) -> None:
    session.expect(0, "apply", "-i", "eth0")
    shutil.rmtree(session.folder / "state")
    session.write(ONE_MORE)
    result = session.type("plan")
    assert "nothing is recorded of generation 1" in result.stderr
    assert "Newly allowed, denied so far\n  + web -> db : tcp/9000" in result.stdout


def test_long_lists_are_cut_for_people_only(session: Session) -> None:
    session.commit("the first")
    hosts = ", ".join(f"10.7.{number}.1" for number in range(20))
    ports = ", ".join(f"tcp/{number}" for number in range(100, 140, 2))
    session.write(SHOP.replace("  deny ", f"  allow ({hosts}) -> db : {ports}\n  deny "))
    shown = " | ".join(f"10.7.{number}.1" for number in (0, 1, 10, 11, 12, 13, 14))
    text = session.expect(0, "diff", "HEAD")
    assert f"  + ({shown} | ... 13 more) -> db : tcp/100, tcp/102, " in text
    assert f"      now     allow ({shown} |" in text
    assert max(map(len, text.splitlines())) < 200
    markdown = session.expect(0, "diff", "HEAD", "--format", "markdown")
    assert f"({shown} | ... 13 more) -> db".replace("|", "\\|") in markdown
    (change,) = session.objects("diff", "HEAD")["changes"]
    assert "10.7.19.1" in change["packets"]["text"]
    assert len(change["packets"]["source"]["addresses"]) == 20
