"""microseg drift over a kernel in memory."""

from __future__ import annotations

from cli.terminal_session import Session
from reconcile.fake import FakeDataPlane

from microseg.abi import PolicyMap, decode_policy_value
from microseg.reconcile.dataplane import Flaw, Irregularity


def alter_a_rule(plane: FakeDataPlane) -> None:
    live = plane.live_maps()[PolicyMap.POLICY]
    key = next(key for key, value in live.items() if decode_policy_value(value)[2] == 1)
    live[key] = live[key][:8] + bytes([2]) + live[key][9:]


def test_an_altered_entry_is_shown_in_words_with_its_rule_and_place(
    session: Session, plane: FakeDataPlane
) -> None:
    assert session.expect(0, "drift") == "No policy is in force.\n"
    session.commit("the first")
    session.expect(0, "apply", "-i", "eth0")
    assert session.expect(0, "drift").startswith("Nothing differs from generation 1, ")
    alter_a_rule(plane)

    result = session.type("drift")

    assert result.exit_code == 2
    assert "Drift: 1 difference from generation 1, " in result.stdout
    assert "  entry altered  policy: web -> db : tcp/5432: allow, logged, precedence" in result.stdout
    assert "      shop.mseg:4  allow web -> db : tcp/5432" in result.stdout
    assert "try: microseg apply puts it right" in result.stderr
    (found,) = session.objects("drift", code=2)["findings"]
    assert (found["kind"], found["heals"], found["entry"]["map"]) == ("entry_altered", True, "policy")
    assert (found["rules"][0]["file"], found["rules"][0]["line"]) == ("shop.mseg", 4)
    session.expect(0, "apply")
    session.expect(0, "drift")


def test_what_belongs_to_others_is_not_promised_to_be_put_right(
    session: Session, plane: FakeDataPlane
) -> None:
    session.commit("the first")
    session.expect(0, "apply", "-i", "eth0")
    plane.irregular = (Irregularity(Flaw.FILTER_SHADOWED, "eth0", "a bpf filter comes before ours"),)
    result = session.type("drift")
    assert result.exit_code == 2
    assert "filter shadowed  eth0: a bpf filter comes before ours" in result.stdout
    assert "microseg apply puts it right" not in result.stderr
    assert "remove it with the tool that attached it" in result.stderr
