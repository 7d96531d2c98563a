"""Reading a policy directory: what is found, what is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from microseg import source
from microseg.source import DirectoryTree, MemoryTree, SourceError, Span, normalize_path

if TYPE_CHECKING:
    from pathlib import Path


def test_span_order_is_path_line_column() -> None:
    spans = [Span("b", 1, 1, 1, 2), Span("a", 2, 1, 2, 2), Span("a", 1, 9, 1, 10), Span("a", 1, 2, 1, 3)]
    assert [str(span) for span in sorted(spans)] == ["a:1:2", "a:1:9", "a:2:1", "b:1:1"]


def test_span_to_reaches_from_start_to_end() -> None:
    assert Span("a", 1, 2, 1, 5).to(Span("a", 3, 1, 3, 9)) == Span("a", 1, 2, 3, 9)


def test_policy_files_are_found_sorted_and_hidden_ones_skipped(tmp_path: Path) -> None:
    for name in ("z.mseg", "sub/a.mseg", ".hidden.mseg", ".git/x.mseg", "notes.txt", "sub/.y/b.mseg"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("")
    names = ("z.mseg", "sub/a.mseg", ".hidden.mseg", "notes.txt")
    assert DirectoryTree(tmp_path).policy_paths() == ["sub/a.mseg", "z.mseg"]
    assert MemoryTree(dict.fromkeys(names, b"")).policy_paths() == ["sub/a.mseg", "z.mseg"]


def test_missing_directory_is_an_error_not_an_empty_policy(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        DirectoryTree(tmp_path / "nowhere").policy_paths()


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a/../b", "", ".", "a\0b"])
def test_paths_that_leave_the_directory_are_refused(tmp_path: Path, path: str) -> None:
    for tree in (DirectoryTree(tmp_path), MemoryTree({})):
        with pytest.raises(SourceError):
            tree.read(path)


def test_one_spelling_of_a_path() -> None:
    assert normalize_path("./lists//drop.netset") == "lists/drop.netset"
    assert MemoryTree({"lists/a": b"x"}).read("./lists/a") == b"x"


def test_symbolic_links_are_followed_inside_only(tmp_path: Path) -> None:
    root = tmp_path / "policies.d"
    root.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "real").write_bytes(b"real")
    (root / "inside").symlink_to("real")
    (root / "outside").symlink_to("../secret")
    (root / "loop").symlink_to("loop")
    tree = DirectoryTree(root)
    assert tree.read("inside") == b"real"
    with pytest.raises(SourceError, match="leads outside"):
        tree.read("outside")
    with pytest.raises(SourceError, match="symbolic links"):
        tree.read("loop")


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(SourceError, match="not a regular file"):
            DirectoryTree(tmp_path).read(name)


def test_too_large_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_FILE_BYTES", 4)
    (tmp_path / "four").write_bytes(b"1234")
    (tmp_path / "five").write_bytes(b"12345")
    assert DirectoryTree(tmp_path).read("four") == b"1234"
    with pytest.raises(SourceError, match="larger than"):
        DirectoryTree(tmp_path).read("five")


def test_error_names_the_path_and_the_reason(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        DirectoryTree(tmp_path).read("missing")
    assert (caught.value.path, caught.value.reason) == ("missing", "no such file")
