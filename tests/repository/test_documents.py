"""What the documents point at is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tree import ROOT, text_of, tracked, tracked_with

if TYPE_CHECKING:
    from collections.abc import Iterator

FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
PATH_IN_CODE = re.compile(r"`((?:microseg|bpf|grammar|tests|docs|examples|policies\.d|scripts)/[\w./-]+)`")
TARGET_IN_CODE = re.compile(r"(?:`|^ {0,4})(?:sudo )?make ([a-z][a-z-]*)", re.MULTILINE)
INVARIANT = re.compile(r"\b(I\d+)\b")

DOCUMENTS = tracked_with(".md")


def prose(text: str) -> str:
    return FENCE.sub("", text)


def slug(heading: str) -> str:
    """Return the anchor that Git hosts make of a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return kept.replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {slug(heading) for heading in HEADING.findall(prose(text_of(path)))}


def broken_links(document: Path) -> Iterator[str]:
    for target in LINK.findall(prose(text_of(document))):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        there = (ROOT / document.parent / name).resolve() if name else (ROOT / document)
        if not there.exists():
            yield f"{document}: {target}: no such file"
        elif anchor and anchor not in anchors(there.relative_to(ROOT)):
            yield f"{document}: {target}: no such heading"


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    assert list(broken_links(document)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_files_that_are_named_exist(document: Path) -> None:
    named = PATH_IN_CODE.findall(text_of(document))
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_make_targets_that_are_named_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(Path("Makefile")), re.MULTILINE))
    assert set(TARGET_IN_CODE.findall(text_of(document))) - targets == set()


def test_every_document_is_reached_from_the_index() -> None:
    index = text_of(Path("docs/README.md"))
    linked = {(Path("docs") / target.partition("#")[0]) for target in LINK.findall(index)}
    folders = {path for path in linked if (ROOT / path).is_dir()}
    unreached = [
        path
        for path in DOCUMENTS
        if path.parts[0] == "docs" and path != Path("docs/README.md")
        if path not in linked and path.parent not in folders
    ]
    assert unreached == []


def test_every_invariant_that_code_cites_is_written_down() -> None:
    written = {
        f"I{number}"
        for number in re.findall(r"^## I(\d+)", text_of(Path("docs/invariants.md")), re.MULTILINE)
    }
    assert written == {f"I{number}" for number in range(1, 9)}
    sources = [
        path
        for path in tracked()
        if path.parts[0] in {"microseg", "bpf"} and path.suffix in {".py", ".c", ".h"}
    ]
    cited = {name for path in sources for name in INVARIANT.findall(text_of(path))}
    assert cited
    assert cited - written == set()
