"""Parsing ahead makes no difference: not the disk, not other processes, not what is damaged there."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from microseg.abi import encode
from microseg.analysis.examine import examine
from microseg.analysis.memory import Memory
from microseg.lang import ahead, cache, files, tree_bytes
from microseg.lang.ahead import parse_ahead
from microseg.lang.files import ParsedFile, parse_tree
from microseg.memo import Memo
from microseg.source import MemoryTree

TODAY = date(2026, 6, 1)
GOOD = "".join(f"group g{{0}}-{n} = 10.{{0}}.{n}.0/24, 2001:db8:{{0}}:{n}::/64\n" for n in range(20))
RULES = "".join(f"  allow g{{0}}-{n} -> g{{0}}-{n + 1} : tcp/{n + 1}\n" for n in range(19))
SOUND = {f"p{n}.mseg": (GOOD + f"policy p{{0}} {{{{\n{RULES}}}}}\n").format(n).encode() for n in range(6)}
WRONG = {"w.mseg": b"polcy x {\n" * 20, "i.mseg": b"# microseg: ignore MS999\n" + SOUND["p0.mseg"]}
TREE = MemoryTree(SOUND | WRONG)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no file too small for it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(ahead, "SMALL", 0)
    monkeypatch.setattr(ahead, "LITTLE", 0)
    return tmp_path / "microseg"


def parsed(tree: MemoryTree = TREE) -> files.Parsed:
    known: Memo[ParsedFile] = Memo()
    parse_ahead(tree, known)
    return parse_tree(tree, known)


def kept(home: Path) -> list[Path]:
    return sorted(home.glob("parsed-*"))


def test_it_makes_no_difference(home: Path) -> None:
    assert parsed() == parse_tree(TREE)
    assert len(kept(home)) == len(SOUND), "what isn't sound isn't kept"
    assert parsed() == parse_tree(TREE)


def test_other_processes_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MUCH", 0)
    monkeypatch.setattr(ahead, "_processors", lambda: 2)
    assert parsed() == parse_tree(TREE)
    assert parsed() == parse_tree(TREE)


def test_a_kept_tree_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = MemoryTree(SOUND)
    parsed(tree)
    monkeypatch.setattr(ahead, "parse_file", None)
    assert parsed(tree) == parse_tree(tree)


def test_a_changed_file_is_parsed_again() -> None:
    parsed()
    changed = MemoryTree({**SOUND, "p0.mseg": SOUND["p0.mseg"].replace(b"allow", b"deny")})
    assert parsed(changed) == parse_tree(changed)


def test_a_file_that_has_moved_is_parsed_again() -> None:
    parsed()
    moved = MemoryTree({f"deep/{path}": content for path, content in SOUND.items()})
    assert parsed(moved) == parse_tree(moved)


def test_what_is_damaged_is_ignored_and_written_again(home: Path) -> None:
    parsed()
    for at, path in enumerate(kept(home)):
        content = path.read_bytes()
        path.write_bytes(content[: at * 40] if at % 2 else content[:-1] + b"\0")
    assert parsed() == parse_tree(TREE)
    assert all(cache.load(path.name) is not None for path in kept(home))


def test_what_is_of_another_file_is_ignored(home: Path) -> None:
    parsed()
    first, *others = kept(home)
    for path in others:
        path.write_bytes(first.read_bytes())
    assert parsed() == parse_tree(TREE)


def test_a_cache_that_others_can_write_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed()
    home.chmod(0o777)
    monkeypatch.setattr(tree_bytes, "from_bytes", None)  # would fail if it were asked
    assert parsed() == parse_tree(TREE)


def test_the_cache_stays_below_its_size(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed()
    most = sum(path.stat().st_size for path in kept(home)) // 2
    monkeypatch.setattr(ahead, "KEPT_BYTES", most)
    parsed(MemoryTree({"q.mseg": SOUND["p0.mseg"]}))
    assert 0 < sum(path.stat().st_size for path in kept(home)) <= most


def test_the_image_is_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = MemoryTree(SOUND)
    images = [examine(tree, TODAY).compilation.image]
    for much in (1 << 30, 0, 0):
        monkeypatch.setattr(ahead, "MUCH", much)
        monkeypatch.setattr(ahead, "_processors", lambda: 2)
        memory = Memory()
        parse_ahead(tree, memory.compiling.files)
        images.append(examine(tree, TODAY, memory=memory).compilation.image)
    contents = [encode(image) for image in images if image]
    assert len(contents) == 4
    assert all(each == contents[0] for each in contents)
