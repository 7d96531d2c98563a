"""Whatever the text: a tree or diagnostics, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from microseg.diagnostics import in_order
from microseg.lang.files import parse_tree
from microseg.lang.parser import parse
from microseg.render import render_text
from microseg.source import MemoryTree

WORDS = [
    *[
        "group",
        "service",
        "policy",
        "default",
        "protect",
        "test",
        "expect",
        "some",
        "allow",
        "deny",
        "reject",
        "audit",
        "enforce",
        "log",
    ],
    *[
        "expires",
        "owner",
        "priority",
        "mode",
        "from",
        "any",
        "any4",
        "any6",
        "file",
        "web",
        "app-1",
        "tcp",
        "udp",
        "icmp",
        "proto",
        "10.0.0.1",
    ],
    *[
        "10.0.0.0/8",
        "::1",
        "80",
        "2027-01-31",
        "->",
        "<->",
        "=",
        "{",
        "}",
        "(",
        ")",
        ",",
        "|",
        "&",
        "-",
        "!",
        ":",
        "/",
    ],
    *('"text"', '"open', "#", "'", ";", "→", "é", "*", "\n", "\t", "\r\n"),
]


@given(st.lists(st.sampled_from(WORDS), max_size=60))
def test_any_words_give_a_tree_or_diagnostics(words: list[str]) -> None:
    check(" ".join(words))


@given(st.text(max_size=200))
def test_any_text_gives_a_tree_or_diagnostics(text: str) -> None:
    check(text)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_tree_or_diagnostics(content: bytes) -> None:
    parsed = parse_tree(MemoryTree({"p.mseg": content}))
    assert len(parsed.files) == 1
    assert parsed.diagnostics or not parsed.files[0].broken


def check(text: str) -> None:
    file, diagnostics = parse("p.mseg", text)
    # What was left out was said, and what was said can be shown.
    assert diagnostics or not file.broken
    lines = text.split("\n")
    for diagnostic in diagnostics:
        span = diagnostic.span
        assert 1 <= span.line <= span.end_line <= len(lines)
        assert 1 <= span.column <= len(lines[span.line - 1]) + 1
    assert render_text(in_order(diagnostics), {"p.mseg": text}).count("\n -->") <= len(diagnostics)
