"""Fetching kernels, with programs in apt's place."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from kernels.archive import Archive, ArchiveError

APT_CACHE = """
    echo linux-image-amd64
    echo '  Depends: linux-base-amd64'
    echo linux-base-amd64
    echo linux-base-7.3.4+deb13-amd64
    echo linux-binary-7.3.4+deb13-amd64
    echo linux-image-7.3.4+deb13-amd64
    echo linux-modules-7.3.4+deb13-amd64
"""
APT_GET = """
    if [ "$1" = indextargets ]; then
        echo http://mirror.example/debian-security/
        echo http://mirror.example/debian/
        echo http://mirror.example/debian
        echo http://other.example/nodistro/
        exit
    fi
    echo "$@" >>calls
    for word; do
        case $word in linux-*) echo >"${word}_7.3.4-1_amd64.deb" ;; esac
    done
"""


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, *, apt_get: str = APT_GET) -> None:
    for name, script in (("apt-get", apt_get), ("apt-cache", APT_CACHE)):
        program = folder / name
        program.write_text("#!/bin/sh\n" + textwrap.dedent(script))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    folder = tmp_path / "kept"
    folder.mkdir()
    return folder


def test_newest_kernel_s_packages_are_fetched(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path, monkeypatch)
    fetched = Archive("trixie-backports", kept).kernel(update=False)
    assert [path.name.partition("-7")[0] for path in fetched] == [
        "linux-base",
        "linux-binary",
        "linux-image",
        "linux-modules",
    ]


def test_machine_s_own_sources_are_left_out(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path, monkeypatch)
    Archive("bookworm", kept).kernel(update=False)
    for call in (kept / "calls").read_text().splitlines():
        assert f"-oDir::Etc::SourceList={kept}/sources.list" in call
        assert "-oDir::Etc::SourceParts=/dev/null" in call
    sources = (kept / "sources.list").read_text().splitlines()
    assert [line.partition("] ")[2] for line in sources] == [
        "http://mirror.example/debian bookworm main",
        "http://mirror.example/debian-security bookworm-security main",
    ]


def test_suite_without_security_updates_asks_for_none(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path, monkeypatch)
    Archive("trixie-backports", kept).kernel(update=False)
    assert "security" not in (kept / "sources.list").read_text()


def test_machine_without_a_mirror_says_so(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path, monkeypatch, apt_get="echo http://other.example/nodistro/")
    with pytest.raises(ArchiveError, match="no mirror of Debian"):
        Archive("bookworm", kept).kernel(update=False)


def test_kept_kernel_serves_until_another_is_asked_for(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path, monkeypatch)
    old = kept / "linux-image-7.3.3+deb13-amd64_7.3.3-1_amd64.deb"
    old.touch()
    assert Archive("bookworm", kept).kernel(update=False) == (old,)
    assert not (kept / "calls").exists()
    assert old not in Archive("bookworm", kept).kernel(update=True)
    assert not old.exists()


def test_apt_s_words_are_quoted(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, apt_get=APT_GET + "echo 'E: no network' >&2; exit 100")
    with pytest.raises(ArchiveError, match=r"(?s)^apt-get -q .* update\nE: no network"):
        Archive("bookworm", kept).kernel(update=False)
