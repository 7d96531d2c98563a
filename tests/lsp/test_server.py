"""The real server, over its standard input and output."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lsp.editor import Editor

from microseg.cli import main

GROUPS = "group web = 10.1.1.0/24, 2001:db8::/126\ngroup db = 10.1.3.10\nservice sql = tcp/5432\n"
POLICY = "policy shop {\n  allow web -> db : sql\n  deny any -> db\n}\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """One server for all tests; each works in a directory of its own."""
    opened = Editor(tmp_path_factory.mktemp("workspace"))
    yield opened
    assert opened.close() == 0


@pytest.fixture
def editor(running: Editor, tmp_path: Path) -> Editor:
    folder = tmp_path / "policies.d"
    folder.mkdir()
    (folder / "groups.mseg").write_text(GROUPS)
    (folder / "shop.mseg").write_text(POLICY)
    running.root = tmp_path
    return running


def span(line: int, start: int, end: int) -> dict[str, Any]:
    return {"start": {"line": line, "character": start}, "end": {"line": line, "character": end}}


def test_it_says_what_it_can_do(editor: Editor) -> None:
    able = editor.answer["capabilities"]
    for feature in ("hover", "definition", "references", "rename", "completion", "documentFormatting"):
        assert able[f"{feature}Provider"]
    assert editor.answer["serverInfo"]["name"] == "microseg"


def test_findings_come_as_one_types_and_go_when_mended(editor: Editor) -> None:
    shop = editor.open("policies.d/shop.mseg", POLICY)
    editor.change(shop, POLICY.replace(": sql", ": sqk"))
    found = editor.findings(shop)
    (one,) = found
    assert (one["code"], one["severity"], one["source"]) == ("MS102", 1, "microseg")
    assert one["range"] == span(1, 20, 23)
    assert "did you mean `sql`?" in one["message"]
    editor.change(shop, POLICY)
    assert editor.findings(shop) == []


def test_an_unsaved_buffer_is_seen_from_other_files(editor: Editor) -> None:
    groups = editor.open("policies.d/groups.mseg", GROUPS.replace("group db", "group db2"))
    shop = editor.open("policies.d/shop.mseg", POLICY)
    assert {each["code"] for each in editor.findings(shop)} == {"MS101"}
    editor.tell("textDocument/didClose", {"textDocument": {"uri": groups}})
    assert editor.findings(shop) == []


def test_failed_tests_and_related_places(editor: Editor) -> None:
    text = POLICY + 'test "t" { expect allow any -> db }\n' + POLICY.replace("shop", "shop2", 1)
    shop = editor.open("policies.d/shop.mseg", text.replace("shop2", "shop"))
    (twice,) = editor.findings(shop)
    assert twice["code"] == "MS105"
    assert twice["relatedInformation"][0]["location"] == {"uri": shop, "range": span(0, 7, 11)}
    editor.change(shop, POLICY + 'test "t" { expect allow any -> db }\n')
    assert "MS320" in {each["code"] for each in editor.findings(shop)}


def test_hover_tells_what_a_name_expands_to(editor: Editor) -> None:
    shop = editor.open("policies.d/shop.mseg", POLICY)
    hover = editor.ask_at("hover", shop, 1, 9)
    text = hover["contents"]["value"]
    assert "group web = 10.1.1.0/24, 2001:db8::/126" in text
    assert "256 IPv4 addresses and 4 IPv6 addresses: `10.1.1.0/24`, `2001:db8::/126`" in text
    assert "groups.mseg:1" in text
    assert "Used once." in text
    assert hover["range"] == span(1, 8, 11)
    assert "service sql = tcp/5432" in editor.ask_at("hover", shop, 1, 21)["contents"]["value"]
    assert editor.ask_at("hover", shop, 0, 1) is None


def test_definition_and_references(editor: Editor) -> None:
    shop = editor.open("policies.d/shop.mseg", POLICY)
    groups = (editor.root / "policies.d" / "groups.mseg").as_uri()
    defined = {"uri": groups, "range": span(1, 6, 8)}
    used = [{"uri": shop, "range": span(1, 15, 17)}, {"uri": shop, "range": span(2, 14, 16)}]
    assert editor.ask_at("definition", shop, 1, 16) == [defined]
    assert editor.ask_at("references", shop, 1, 16, context={"includeDeclaration": True}) == [defined, *used]
    assert editor.ask_at("references", shop, 1, 17, context={"includeDeclaration": False}) == used


def test_rename_reaches_every_file(editor: Editor) -> None:
    shop = editor.open("policies.d/shop.mseg", POLICY)
    groups = (editor.root / "policies.d" / "groups.mseg").as_uri()
    assert editor.ask_at("prepareRename", shop, 1, 16) == span(1, 15, 17)
    changes = editor.ask_at("rename", shop, 1, 16, newName="store")["changes"]
    assert changes[groups] == [{"range": span(1, 6, 8), "newText": "store"}]
    assert [each["range"] for each in changes[shop]] == [span(1, 15, 17), span(2, 14, 16)]


@pytest.mark.parametrize("name", ["web", "allow", "two words", "", "9lives", "a-", "x = any group y", "#"])
def test_rename_refuses_what_can_not_be_a_name(editor: Editor, name: str) -> None:
    shop = editor.open("policies.d/shop.mseg", POLICY)
    with pytest.raises(RuntimeError, match=r"name|already"):
        editor.ask_at("rename", shop, 1, 16, newName=name)


def test_rename_refuses_while_a_file_is_broken(editor: Editor) -> None:
    shop = editor.open("policies.d/shop.mseg", POLICY)
    editor.open("policies.d/groups.mseg", GROUPS + "policy { allow db -> }\n")
    with pytest.raises(RuntimeError, match=r"correct the syntax of groups\.mseg first"):
        editor.ask_at("rename", shop, 1, 16, newName="store")


@pytest.mark.parametrize(
    ("line", "some", "none"),
    [
        ("  allow ", {"web", "db", "any", "any4", "file"}, {"sql", "tcp", "allow", "group"}),
        ("  allow web ->", {"web", "any6"}, {"sql"}),
        ("  allow web -> d", {"db"}, {"sql"}),
        ("  allow web -> db : ", {"sql", "tcp", "icmpv6", "any"}, {"web", "any4"}),
        ("  allow web -> db : icmp/e", {"echo-request"}, {"web", "sql", "packet-too-big"}),
        ("  allow web -> db : sql ", {"log", "expires", "allow", "deny"}, {"web"}),
        ("  ", {"allow", "deny", "reject", "owner"}, {"web", "group"}),
        ("} ", {"group", "policy", "test", "default"}, {"web", "allow"}),
        ("} policy x mode ", {"audit", "enforce"}, {"web"}),
        ("} group ", set(), {"web", "sql"}),
        ("} # a comment ", set(), {"group"}),
        ('  owner "', set(), {"web", "allow"}),
    ],
)
def test_completion(editor: Editor, line: str, some: set[str], none: set[str]) -> None:
    shop = editor.open("policies.d/shop.mseg", "policy shop {\n" + line)
    offered = {each["label"] for each in editor.ask_at("completion", shop, 1, len(line))}
    assert some <= offered
    assert not none & offered


def test_formatting_is_that_of_fmt(editor: Editor) -> None:
    text = POLICY.replace("  allow", "allow  ").replace("\n}", "   }")
    shop = editor.open("policies.d/shop.mseg", text)
    options = {"tabSize": 2, "insertSpaces": True}
    asked = {"textDocument": {"uri": shop}, "options": options}
    (edit,) = editor.ask("textDocument/formatting", asked)
    assert edit["newText"] == POLICY
    assert edit["range"] == {"start": {"line": 0, "character": 0}, "end": {"line": 3, "character": 0}}
    editor.change(shop, POLICY)
    assert editor.ask("textDocument/formatting", asked) is None
    editor.change(shop, POLICY + "policy {")
    assert editor.ask("textDocument/formatting", asked) is None


@pytest.mark.parametrize(("encoding", "start"), [(None, 17), ("utf-8", 19), ("utf-32", 16)])
def test_columns_are_in_the_client_s_units(tmp_path: Path, encoding: str | None, start: int) -> None:
    editor = Editor(tmp_path, encodings=[encoding] if encoding else None)
    text = 'test "\N{PILE OF POO}" { expect allow nobody -> any }\n'
    place = text.index("nobody")
    uri = editor.open("a.mseg", text)
    (found,) = [each for each in editor.findings(uri) if each["code"] == "MS101"]
    shift = start - 16
    assert found["range"] == span(0, place + shift, place + shift + 6)
    assert editor.close() == 0


def test_the_settings_of_lint_count(tmp_path: Path) -> None:
    (tmp_path / "microseg.toml").write_text('[lint]\nMS306 = "error"\n')
    editor = Editor(tmp_path)
    uri = editor.open("a.mseg", "group a = 10.0.0.1\n")
    assert [(each["code"], each["severity"]) for each in editor.findings(uri)] == [("MS306", 1)]
    editor.change(uri, "policy p { allow any -> 10.0.0.1 }\n")
    assert [(each["code"], each["severity"]) for each in editor.findings(uri)] == [("MS316", 2)]
    assert editor.close() == 0


def test_strange_documents_are_no_trouble(editor: Editor) -> None:
    document = {"uri": "untitled:Untitled-1", "languageId": "mseg", "version": 0, "text": "group"}
    editor.tell("textDocument/didOpen", {"textDocument": document})
    assert editor.ask_at("hover", "untitled:Untitled-1", 0, 0) is None
    hidden = editor.open("policies.d/.hidden.mseg", "group")
    assert editor.ask_at("completion", hidden, 5, 9) is not None
    shop = editor.open("policies.d/shop.mseg", "\ud7ff" * 3 + "\n" * 3 + "((((")
    assert editor.ask_at("hover", shop, 99, 99) is None
    assert editor.findings(shop)


def test_many_changes_are_checked_once_they_stop(editor: Editor) -> None:
    shop = editor.open("policies.d/shop.mseg", POLICY)
    for number in range(100):
        editor.change(shop, f"group a{number} = 10.0.0.1\n{POLICY}")
    (found,) = editor.findings(shop)
    assert "`a99`" in found["message"]


def test_the_editor_says_what_lint_and_test_say(editor: Editor) -> None:
    text = (
        "group idle = 10.9.9.9\n"
        "policy shop {\n  allow any -> db\n  deny web -> db : sql\n  allow 10.0.0.1 -> 10.0.0.2 : sql\n"
        "  allow 10.0.0.0/24 -> 10.0.0.2\n}\n"
        'test "t" { expect deny web -> db : sql }\n'
    )
    shop = editor.open("policies.d/shop.mseg", text)
    shown = {(each["code"], each["range"]["start"]["line"] + 1) for each in editor.findings(shop)}

    folder = editor.root / "policies.d"
    (folder / "shop.mseg").write_text(text)
    (editor.root / "none.toml").write_text("")
    report: dict[str, list[Any]] = {}
    for command in ("lint", "test"):
        words = [command, str(folder), "--config", str(editor.root / "none.toml"), "--format", "json"]
        report |= json.loads(CliRunner().invoke(main, words).stdout)
    failures = [failure for test in report["tests"] for failure in test["failures"]]
    said = {(each["code"], each["span"]["line"]) for each in (*report["diagnostics"], *failures)}
    assert shown == said
    assert {code for code, _ in said} == {"MS301", "MS306", "MS313", "MS316", "MS320"}
