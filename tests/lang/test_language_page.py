"""What docs/language.md shows is so."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from microseg.analysis.examine import examine
from microseg.lang.parser import GRAMMAR, parse
from microseg.lang.text import MAX_POLICY_BYTES
from microseg.source import MAX_FILE_BYTES, MemoryTree

PAGE = (Path(__file__).parent.parent.parent / "docs" / "language.md").read_text()
EXAMPLES = re.findall(r"```mseg\n(.*?)```", PAGE, re.DOTALL)
RESERVED = {
    word for word in re.findall(r'"([a-z0-9]+)"', GRAMMAR.read_text()) if word not in ("microseg", "lark")
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_sound(example: str) -> None:
    examination = examine(MemoryTree({"p.mseg": example.encode()}), date(2026, 6, 1))
    assert [each.message for each in examination.compilation.diagnostics] == []
    assert [each.message for each in examination.failures] == []


def test_the_page_lists_the_reserved_words() -> None:
    [listed] = re.findall(r"reserved everywhere:\n\n(.*?)\n\n", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", listed)) == RESERVED


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_a_reserved_word_is_no_name(word: str) -> None:
    _, [diagnostic] = parse("p", f"group {word} = 10.0.0.1")
    assert diagnostic.code.value == "MS108"


def rows(heading: str) -> list[str]:
    """Return what is written in the first column of a section's table."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \| ", section.replace("\\|", "OR"), re.MULTILINE)
    return [text.replace("OR", "|") for cell in cells for text in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("written", rows("Groups"))
def test_sets_of_the_table(written: str) -> None:
    file, diagnostics = parse("p", f"group g = {written.replace('SET', 'web')}")
    assert diagnostics == []
    assert file.statements


@pytest.mark.parametrize("written", rows("Services"))
def test_services_of_the_table(written: str) -> None:
    text = f"service http = tcp/80\nservice s = {written}\npolicy p {{ allow any -> any : s, http }}"
    examination = examine(MemoryTree({"p.mseg": text.encode()}), date(2026, 6, 1))
    assert [each.message for each in examination.compilation.diagnostics if each.is_error] == []


def test_limits() -> None:
    assert f"at most {MAX_POLICY_BYTES >> 20} MiB" in PAGE
    assert f"Lists may be {MAX_FILE_BYTES >> 20} MiB" in PAGE
