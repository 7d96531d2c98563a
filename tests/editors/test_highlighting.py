"""The highlighting knows the words of the language. Its patterns mean the same to Python and to editors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tree import ROOT, text_of, tracked

from microseg.compiler.service_values import RESERVED

FOLDER = ROOT / "editors" / "vscode"
GRAMMAR = json.loads((FOLDER / "mseg.tmLanguage.json").read_text())
LARK = (ROOT / "grammar" / "microseg.lark").read_text()
WORDS = set(re.findall(r'"([a-z]+[46]?)"', re.sub(r"^//.*", "", LARK, flags=re.MULTILINE)))


def patterns() -> Iterator[tuple[re.Pattern[str], dict[str, Any]]]:
    """Yield the patterns in the order an editor tries them."""
    for include in GRAMMAR["patterns"]:
        rule = GRAMMAR["repository"][include["include"].removeprefix("#")]
        for each in rule.get("patterns", [rule]):
            yield re.compile(each["match"]), each


def tokens(line: str) -> list[tuple[str, str]]:
    """Return the tokens of a line as an editor finds them: the leftmost match, of these the first pattern."""
    found: list[tuple[str, str]] = []
    at = 0
    while True:
        matches = [
            (match.start(), number, match, rule)
            for number, (pattern, rule) in enumerate(patterns())
            if (match := pattern.search(line, at))
        ]
        if not matches:
            return found
        _, _, match, rule = min(matches, key=lambda each: each[:2])
        if "name" in rule:
            found.append((match.group(), rule["name"]))
        else:
            groups = ((match[int(number)], capture["name"]) for number, capture in rule["captures"].items())
            found += [(text, name) for text, name in groups if text]
        at = match.end()


def kind(line: str, text: str) -> str:
    return next(name for token, name in tokens(line) if token == text).removesuffix(".mseg")


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_word_of_the_language_is_no_name(word: str) -> None:
    assert len(WORDS) > 20
    ((text, name),) = tokens(f"  {word} ")
    assert text == word
    assert not name.startswith(("variable", "entity"))
    assert tokens(f"{word}-x")[0] == (f"{word}-x", "variable.other.mseg")


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_protocols(word: str) -> None:
    assert kind(f"service a = {word}/1", word) == "support.type.protocol"


@pytest.mark.parametrize(
    ("line", "text", "expected"),
    [
        ("group web = any # c", "# c", "comment.line.number-sign"),
        ("group web = 10.0.0.0/8", "web", "entity.name.type"),
        ("group web = 10.0.0.0/8", "10.0.0.0/8", "constant.numeric.address"),
        ("group a = ::1, 2001:db8::/32", "2001:db8::/32", "constant.numeric.address"),
        ("allow a -> b : tcp/80 expires 2027-01-31", "2027-01-31", "constant.other.date"),
        ("allow a -> b : tcp/80", ":", "keyword.operator"),
        ("allow a <-> b", "<->", "keyword.operator.arrow"),
        ('owner "team # one"', '"team # one"', "string.quoted.double"),
        ("service a = icmp/echo-request", "echo-request", "support.constant.icmp"),
        ("allow web-app -> any4", "web-app", "variable.other"),
        ("allow web-app -> any4", "any4", "constant.language"),
    ],
)
def test_tokens(line: str, text: str, expected: str) -> None:
    assert kind(line, text) == expected


def test_nothing_of_the_example_policies_is_left_without_colour() -> None:
    for path in tracked():
        if path.suffix == ".mseg":
            for line in text_of(path).splitlines():
                colored = "".join(text for text, _ in tokens(line))
                assert re.sub(r"[\s{}()]", "", line) == re.sub(r"[\s{}()]", "", colored)


def test_the_extension_names_files_that_are_there() -> None:
    package = json.loads((FOLDER / "package.json").read_text())
    contributes = package["contributes"]
    named = [
        package["main"],
        contributes["grammars"][0]["path"],
        contributes["languages"][0]["configuration"],
    ]
    assert all((FOLDER / name).is_file() for name in named)
    assert contributes["grammars"][0]["scopeName"] == GRAMMAR["scopeName"]
