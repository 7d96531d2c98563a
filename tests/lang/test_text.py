"""Bytes that are no text, and text that isn't what it seems."""

from __future__ import annotations

import pytest

from microseg.diagnostics import Code
from microseg.lang import files
from microseg.lang.files import parse_tree
from microseg.lang.text import MAX_SHOWN, decode
from microseg.source import DirectoryTree, MemoryTree


@pytest.mark.parametrize(
    ("content", "message", "place"),
    [
        (b"group a\0b", "this file is binary: it has a zero byte", (1, 8)),
        (b"one\ntwo\xff", "this file isn't UTF-8: byte 0xff can't stand here", (2, 4)),
        ("é\n".encode() + b"\xc3", "this file isn't UTF-8: byte 0xc3 can't stand here", (2, 1)),
        ("group".encode("utf-16"), "this file is UTF-16, not UTF-8", (1, 1)),
        ("group".encode("utf-32"), "this file is UTF-32, not UTF-8", (1, 1)),
    ],
)
def test_what_is_not_text(content: bytes, message: str, place: tuple[int, int]) -> None:
    text, [diagnostic] = decode("p", content)
    assert text is None
    assert (diagnostic.code, diagnostic.message) == (Code.NOT_TEXT, message)
    assert (diagnostic.span.line, diagnostic.span.column) == place


def test_byte_order_mark_and_windows_line_ends_are_fine() -> None:
    content = b"\xef\xbb\xbfgroup a = 10.0.0.1\r\ngroup b = a\r\n"
    parsed = parse_tree(MemoryTree({"p.mseg": content}))
    assert parsed.diagnostics == []
    [file] = parsed.files
    assert [(each.span.line, each.span.column) for each in file.statements] == [(1, 1), (2, 1)]


@pytest.mark.parametrize("char", ["\x1b", "\x07", "\x7f", "\u202e", "\u2066", "\u2028", "\x85", "\x0b", "\r"])
def test_unseen_characters_are_errors_even_in_comments(char: str) -> None:
    content = f"# harmless {char} allow any -> any\ngroup a = 10.0.0.1".encode()
    parsed = parse_tree(MemoryTree({"p.mseg": content}))
    [diagnostic] = parsed.diagnostics
    assert diagnostic.code is Code.UNEXPECTED_CHARACTER
    assert f"U+{ord(char):04X}" in diagnostic.message
    assert (diagnostic.span.line, diagnostic.span.column) == (1, 12)
    # The rest is parsed all the same.
    assert len(parsed.files[0].statements) == 1


def test_only_the_first_unseen_characters_are_listed() -> None:
    text, diagnostics = decode("p", b"\x01" * 1000)
    assert text == " " * 1000
    assert len(diagnostics) == MAX_SHOWN


def test_a_file_that_can_not_be_read_is_a_diagnostic(tmp_path: object) -> None:
    tree = DirectoryTree(f"{tmp_path}")
    (tree.root / "a.mseg").symlink_to("/etc/passwd")
    (tree.root / "b.mseg").write_text("group b = 10.0.0.1")
    parsed = parse_tree(tree)
    [diagnostic] = parsed.diagnostics
    assert (diagnostic.code, diagnostic.span.path) == (Code.UNREADABLE, "a.mseg")
    assert [file.path for file in parsed.files] == ["a.mseg", "b.mseg"]
    assert parsed.files[0].broken


def test_a_missing_directory_is_a_diagnostic() -> None:
    parsed = parse_tree(DirectoryTree("/nowhere/at/all"))
    assert [each.code for each in parsed.diagnostics] == [Code.UNREADABLE]


def test_a_policy_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_POLICY_BYTES", 10)
    parsed = parse_tree(MemoryTree({"p.mseg": b"# 9 bytes", "q.mseg": b"# 11 bytes."}))
    assert [(each.code, each.span.path) for each in parsed.diagnostics] == [(Code.TOO_LARGE, "q.mseg")]
