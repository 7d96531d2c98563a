"""The parser's tables between runs: used when they are ours, never otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from microseg.lang import cache


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "microseg"


def test_what_is_stored_is_loaded(home: Path) -> None:
    cache.store("tables", b"content")
    assert cache.load("tables") == b"content"
    assert home.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in home.iterdir()] == ["tables"]


def test_nothing_there_is_nothing(home: Path) -> None:
    assert cache.load("tables") is None
    assert not home.exists()


def test_a_file_that_others_can_write_is_not_used(home: Path) -> None:
    cache.store("tables", b"content")
    for mode in (0o666, 0o620, 0o602):
        (home / "tables").chmod(mode)
        assert cache.load("tables") is None


def test_a_folder_that_others_can_write_is_not_used(home: Path) -> None:
    cache.store("tables", b"content")
    home.chmod(0o777)
    assert cache.load("tables") is None
    cache.store("more", b"content")
    assert not (home / "more").exists()


def test_a_link_is_not_followed(home: Path) -> None:
    cache.store("real", b"content")
    (home / "tables").symlink_to("real")
    assert cache.load("tables") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_file_is_not_used(home: Path) -> None:
    cache.store("tables", b"content")
    os.chown(home / "tables", 1, 1)
    assert cache.load("tables") is None


def test_a_place_that_can_not_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    cache.store("tables", b"content")
    assert cache.load("tables") is None


def test_without_a_home_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/paths/are/ignored")
    monkeypatch.setattr(Path, "home", _no_home)
    assert cache.folder() is None
    cache.store("tables", b"content")
    assert cache.load("tables") is None


def _no_home() -> Path:
    raise RuntimeError


def test_the_parser_keeps_its_tables_and_uses_them(home: Path) -> None:
    def parse_in_new_process() -> str:
        program = (
            "from microseg.lang.parser import parse;"
            "file, found = parse('p', 'group a = 10.0.0.1 - 10.0.0.9, !b'); print(file, found)"
        )
        return subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout

    first = parse_in_new_process()
    [kept] = home.iterdir()
    inode = kept.stat().st_ino
    assert parse_in_new_process() == first
    assert kept.stat().st_ino == inode
    whole = kept.read_bytes()
    for damage in (b"", b"{}", whole[:-1], whole[:1000] + b"0" + whole[1001:]):
        kept.write_bytes(damage)
        assert parse_in_new_process() == first
        assert kept.read_bytes() != damage


def test_what_was_not_asked_for_the_longest_goes_first(home: Path) -> None:
    for at, name in enumerate(("parsed-a", "parsed-b", "parsed-c", "tables")):
        cache.store(name, bytes(68))  # 100 with its digest
        os.utime(home / name, (at, at))
    assert cache.load("parsed-a", mark=True) is not None
    cache.trim("parsed-", 250)
    assert sorted(path.name for path in home.iterdir()) == ["parsed-a", "parsed-c", "tables"]
