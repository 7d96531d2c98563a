from __future__ import annotations

import json

import jsonschema
import pytest
from cli.terminal_session import BROKEN, SHOP, Session
from reconcile.fake import FakeDataPlane
from tree import ROOT

from microseg.abi import Root
from microseg.reconcile.dataplane import KernelAccessError

ALLOWED = "10.1.1.5 -> 10.1.3.10 : tcp/5432"
IPV6 = "2001:db8:1::5 -> 2001:db8:1::6 : udp/53 from 1024"
SCHEMA = json.loads((ROOT / "docs" / "schemas" / "microseg-trace-1.schema.json").read_text())
ARP_FRAME = "00" * 12 + "0806" + "00" * 46


def test_the_policy_alone(session: Session) -> None:
    commit = session.commit("the first")
    assert session.expect(0, "trace", ALLOWED, "--no-kernel") == (
        "10.1.1.5 -> 10.1.3.10 : tcp/5432 from 40000\n"
        "            Policy\n"
        f"from        {commit[:10]} (the first)\n"
        "source      10.1.1.5 in any, web\n"
        "target      10.1.3.10 in any, db\n"
        "service     tcp/5432 from 40000 in any, tcp/5432\n"
        "probes      8\n"
        "precedence  1\n"
        "verdict     allow, logged\n"
        "rule        allow web -> db : tcp/5432\n"
        "at          shop.mseg:4\n"
        "\n"
        "Only the policy was asked; the kernel: it was not asked.\n"
    )


def test_words_need_quotes_only_for_the_shell_s_sake(session: Session) -> None:
    assert session.expect(0, "trace", *ALLOWED.split()) == session.expect(0, "trace", ALLOWED)


def test_the_default_stands_where_it_is_written(session: Session) -> None:
    output = session.expect(0, "trace", IPV6)
    assert "rule        default deny\nat          shop.mseg:7\n" in output.replace("  \n", "\n")
    assert "target      2001:db8:1::6 in web\n" in output.replace("any, ", "")


def test_a_commit_is_asked(session: Session) -> None:
    session.commit("the first")
    session.write(BROKEN)
    assert "allow, logged" in session.expect(0, "trace", ALLOWED, "--rev", "HEAD")


def test_audit_says_what_would_be_denied(session: Session) -> None:
    denied = "10.9.9.9 -> 10.1.3.10 : tcp/5432"
    assert "verdict     deny\n" in session.expect(0, "trace", denied)
    assert "verdict     audit\n" in session.expect(0, "trace", denied, "--audit")


def test_a_frame_instead_of_words(session: Session) -> None:
    shown = session.objects("trace", ALLOWED)
    again = session.objects("trace", "--frame", shown["frame"])
    assert again["policy"] == shown["policy"]
    assert "not asked: it is ARP" in session.expect(0, "trace", "--frame", ARP_FRAME)


@pytest.mark.parametrize("judges", [False, True])
def test_a_kernel_without_a_policy(session: Session, plane: FakeDataPlane, judges: bool) -> None:  # noqa: FBT001
    why = "nothing is loaded"
    if judges:
        session.expect(0, "apply", "-i", "eth0")
        plane.root = Root()
        why = "no policy is in force"
    output = session.expect(0, "trace", ALLOWED)
    assert output.endswith(f"Only the policy was asked; the kernel: {why}, so everything passes.\n")


def test_a_kernel_that_may_not_be_asked(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise KernelAccessError("cannot open the programs: EPERM", advice="run it as root")

    monkeypatch.setattr("microseg.cli.trace_sides.read_observed", refuse)
    output = session.expect(0, "trace", ALLOWED)
    assert "the kernel: cannot open the programs: EPERM (run it as root)." in output
    shown = session.objects("trace", ALLOWED)
    assert (shown["kernel"]["asked"], shown["agree"], shown["same_policy"]) == (False, None, None)


def test_as_json(session: Session) -> None:
    shown = session.objects("trace", IPV6, "--no-kernel")
    assert shown["schema"] == "microseg-trace-1"
    assert shown["policy"]["packet"] == {
        "src": "2001:db8:1::5",
        "dst": "2001:db8:1::6",
        "protocol": "udp",
        "port": 53,
        "source_port": 1024,
    }
    assert (shown["policy"]["verdict"], shown["policy"]["precedence"]) == ("deny", None)
    for words in ((IPV6, "--no-kernel"), (ALLOWED,), ("--frame", ARP_FRAME)):
        jsonschema.validate(session.objects("trace", *words), SCHEMA)
    assert shown["policy"]["rule"]["file"] == "shop.mseg"
    assert shown["policy"]["source_sets"] == ["any", "web"]


def test_a_fault_of_the_compiler_is_1(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microseg.cli.trace_sides.evaluator_agrees", lambda *_: False)
    output = session.expect(1, "trace", ALLOWED)
    assert "decides otherwise than its text. This is a fault of microseg" in output


def test_a_wrong_policy_is_1(session: Session) -> None:
    session.write(BROKEN)
    result = session.type("trace", ALLOWED)
    assert result.exit_code == 1
    assert "error[MS202]" in result.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "Give one packet"),
        ([ALLOWED, "--frame", ARP_FRAME], "Give one packet"),
        ([ALLOWED, "--nonsense"], "No such option"),
        (["10.1.1.5 - 10.1.3.10"], "in quotes, for the shell"),
        (["web -> db : tcp/5432"], "`web` is "),
        (["10.1.1.5 -> nobody : tcp/1"], "error[MS101]: group `nobody` is not defined\n --> packet:1:13"),
        (["2001:db8::1 -> 2001:db8::2 : proto/43"], "is an extension header"),
        (["--frame", "xy"], "not hexadecimal"),
        (["--frame", "00:11:22"], "3 bytes are no Ethernet frame"),
    ],
)
def test_what_is_no_packet_is_usage(session: Session, words: list[str], expected: str) -> None:
    result = session.type("trace", *words)
    assert result.exit_code == 64
    assert expected in result.stderr


def test_names_of_the_policy_are_understood(session: Session) -> None:
    session.write(SHOP + "group one = 10.1.1.5\nservice postgres = tcp/5432\n")
    shown = json.loads(session.expect(0, "trace", "one -> 10.1.3.10 : postgres", "--format", "json"))
    assert shown["policy"]["packet"]["src"] == "10.1.1.5"
