"""Golden cases: a policy directory and exactly what is said about it, one file a code.

A case is a text with sections, `-- NAME --` on a line of its own before each: the files of a policy
directory, then `expected`, then `fixed PATH` for each file that is another once somebody did what the help
says. MICROSEG_UPDATE_GOLDEN=1 writes what is said now; look at the difference before you commit it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from microseg.abi import MAX_PROBES, MAX_SERVICES, MAX_SETS, PolicyMap
from microseg.analysis import taste
from microseg.analysis.examine import Examination, examine
from microseg.diagnostics import Code
from microseg.lang.recovery import MAX_ERRORS
from microseg.lang.text import MAX_POLICY_BYTES
from microseg.render import render_text
from microseg.source import MAX_FILE_BYTES, MemoryTree, SourceError

FOLDER = Path(__file__).parent.parent / "golden"
PAGES = Path(__file__).parent.parent.parent / "docs" / "diagnostics"
CASES = sorted(FOLDER.glob("*.txt"))
TODAY = date(2026, 6, 1)
UPDATE = os.environ.get("MICROSEG_UPDATE_GOLDEN") == "1"

SECTION = re.compile(r"^-- (?P<name>[^ \n]+)(?: (?P<how>[^\n]*))? --\n", re.MULTILINE)
FENCED = re.compile(r"```mseg\n(.*?)```", re.DOTALL)


@dataclass
class Section:
    """A part of a case.

    Attributes:
        name: a path, or `expected`, or `capacities` with a map and its entries a line.
        how: `escaped` bytes, `unreadable`, `repeated` so many times; `last`: only the last diagnostic.
        text: what stands there.

    """

    name: str
    how: str
    text: str

    def content(self) -> bytes:
        """Return the file's bytes."""
        if self.how == "escaped":
            return self.text.rstrip("\n").encode().decode("unicode_escape").encode("latin-1")
        if self.how.startswith("repeated "):
            return self.text.encode() * int(self.how.split()[1])
        return self.text.encode()


class CaseTree(MemoryTree):
    """The files of a case."""

    def __init__(self, sections: list[Section]) -> None:
        self._unreadable = {section.name for section in sections if section.how == "unreadable"}
        super().__init__({section.name: section.content() for section in sections})

    def read(self, path: str) -> bytes:
        """Return a file's content, or refuse as a file system does."""
        if path in self._unreadable:
            raise SourceError(path, "permission denied")
        return super().read(path)


def sections_of(text: str) -> list[Section]:
    """Return the sections of a case; a text without any is one policy file."""
    heads = list(SECTION.finditer(text))
    if not heads:
        return [Section("p.mseg", "", text)]
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [
        Section(head["name"], head["how"] or "", text[head.end() : end])
        for head, end in zip(heads, ends, strict=True)
    ]


@dataclass
class Case:
    """A golden case, in parts."""

    given: list[Section]
    expected: Section
    fixed: list[Section]

    @classmethod
    def read(cls, text: str) -> Case:
        """Take a case apart."""
        sections = sections_of(text)
        at = [section.name for section in sections].index("expected")
        fixed = [
            Section(path, how, section.text)
            for section in sections[at + 1 :]
            for path, _, how in [section.how.partition(" ")]
            if section.name == "fixed"
        ]
        assert len(sections) == at + 1 + len(fixed)
        return cls(sections[:at], sections[at], fixed)

    def mended(self) -> list[Section]:
        """Return the files as they are when the help was followed."""
        changed = {section.name for section in self.fixed}
        return [*(section for section in self.given if section.name not in changed), *self.fixed]


def said(sections: list[Section], code: str = "", *, only_last: bool = False) -> str:
    """Return what is said about a policy directory, as it is shown."""
    examination = examined(sections, code)
    diagnostics = [*examination.compilation.diagnostics, *examination.failures]
    return render_text(diagnostics[-1:] if only_last else diagnostics, examination.compilation.sources)


def examined(sections: list[Section], code: str) -> Examination:
    """Return what there is to say about a policy directory; some codes have to be asked for."""
    review = taste.Options(repeated_default=code == Code.REPEATED_DEFAULT.value)
    files = [each for each in sections if each.name not in ("expected", "capacities")]
    capacities = {
        PolicyMap[line.split()[0].upper()]: int(line.split()[1])
        for each in sections
        if each.name == "capacities"
        for line in each.text.splitlines()
    }
    room = {name: capacities.get(name, 1 << 20) for name in PolicyMap}
    return examine(CaseTree(files), TODAY, capacities=room, review=review)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_what_is_said(case: Path) -> None:
    text = case.read_text()
    parts = Case.read(text)
    shown = said(parts.given, case.stem, only_last=parts.expected.how == "last")
    if UPDATE:
        head, _, tail = text.partition(parts.expected.text + "-- fixed ")
        case.write_text(f"{head}{shown}-- fixed {tail}")
    else:
        assert shown == parts.expected.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_following_the_help_leaves_nothing_to_say(case: Path) -> None:
    assert said(Case.read(case.read_text()).mended(), case.stem) == ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_what_the_help_says_is_done(case: Path) -> None:
    parts = Case.read(case.read_text())
    examination = examined(parts.given, case.stem)
    before = {section.name: section.text for section in parts.given}
    after = {section.name: section.text for section in parts.fixed}
    if "capacities" in after:  # what microseg.toml would say
        after["capacities"] = after["capacities"].replace("policy ", "rules = ")
    told = [
        each
        for each in (*examination.compilation.diagnostics, *examination.failures)
        if each.code.value == case.stem
    ]
    assert told
    for each in told:
        assert each.help
        assert is_followed(each.help, " ".join(before.values()), " ".join(after.values())), each.help


LITERAL = re.compile(r"`([^`]*)`|\bwrite ([^\s,;]*\d[^\s,;]*)|(\"[\w-]+\")")
"""What a help gives word for word, to be typed or to be taken out."""
PATTERN = re.compile(r"\.\.\.|\b[A-Z]{3,}\b|\ba\b")
"""Has a place for something else."""


def is_followed(advice: str, before: str, after: str) -> bool:
    """Say whether a mended text has what a help says, or is another where something was to go."""
    if re.search(r"\b(delete|leave|keep|take)\b", advice):
        return before != after
    words = ["".join(found) for found in LITERAL.findall(advice)]
    literal = [word for word in words if re.search(r"\w|->|[(){}]", word) and not PATTERN.search(word)]
    return not literal or any(word in after for word in literal)


@pytest.mark.parametrize("code", Code, ids=lambda code: code.value)
def test_every_code_has_a_case_and_a_page(code: Code) -> None:
    case = (FOLDER / f"{code.value}.txt").read_text()
    assert f"\n{code.severity.value}[{code.value}]: " in case
    page = (PAGES / f"{code.value}.md").read_text()
    assert page.startswith(f"# {code.value}: {code.title}\n\n{code.severity.value.capitalize()}.\n")
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["## What it does", "## Why is this bad", "## Example", "## Use instead"]
    assert f"]({code.value}.md): {code.title}\n" in (PAGES / "README.md").read_text()


def test_every_case_and_page_has_a_code() -> None:
    codes = {code.value for code in Code}
    assert {path.stem for path in CASES} == codes
    assert {path.stem for path in PAGES.glob("MS*.md")} == codes


@pytest.mark.parametrize(
    ("code", "limit"),
    [
        (Code.TOO_LARGE, MAX_POLICY_BYTES >> 20),
        (Code.LIST_FILE, MAX_FILE_BYTES >> 20),
        (Code.TOO_MANY_ERRORS, MAX_ERRORS),
        (Code.TOO_MANY_SETS, MAX_SETS),
        (Code.TOO_MANY_SERVICES, MAX_SERVICES),
        (Code.SEARCH_TOO_LONG, MAX_PROBES),
    ],
)
def test_the_page_of_a_limit_tells_it(code: Code, limit: int) -> None:
    assert re.search(rf"\b{limit}\b", (PAGES / f"{code.value}.md").read_text())


@pytest.mark.parametrize("code", Code, ids=lambda code: code.value)
def test_the_example_of_a_page_has_the_fault_and_the_other_has_none(code: Code) -> None:
    page = (PAGES / f"{code.value}.md").read_text()
    before, after = page.split("## Use instead")
    for example in FENCED.findall(before):
        if code is not Code.MAP_TOO_SMALL:
            assert f"[{code.value}]" in said(sections_of(example), code.value)
    for example in FENCED.findall(after):
        assert said(sections_of(example), code.value) == ""
