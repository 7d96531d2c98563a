"""What is installed has all that the program reads, also when it was built from a source archive."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tree import ROOT, tracked

LINKS = [path for path in (ROOT / "microseg").iterdir() if path.is_symlink()]
"""Folders outside the package that it reads from."""
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"


def build(tree: Path, what: str, into: Path) -> Path:
    into.mkdir()
    subprocess.run([sys.executable, "-c", BUILD, what, str(into)], cwd=tree, check=True, capture_output=True)
    (built,) = into.iterdir()
    return built


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make a copy of what is tracked, links as links."""
    copy = tmp_path / "tree"
    for path in tracked():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, copy / path)
    for link in LINKS:
        (copy / "microseg" / link.name).symlink_to(link.readlink())
    return copy


def test_what_the_program_reads_is_in_the_wheel_of_a_source_archive(tree: Path, tmp_path: Path) -> None:
    archive = build(tree, "build_sdist", tmp_path / "sdist")
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", unpacked, "--strip-components=1"], check=True)
    wheel = build(unpacked, "build_wheel", tmp_path / "wheel")
    names = set(zipfile.ZipFile(wheel).namelist())
    for link in LINKS:
        folder = link.resolve().relative_to(ROOT)
        wanted = {
            f"microseg/{link.name}/{path.name}"
            for path in tracked()
            if path.parent == folder and (path.suffix != ".md" or path.parts[0] == "docs")
        }
        assert wanted
        assert wanted <= names
    assert {f"{path}" for path in tracked() if path.parts[0] == "microseg"} <= names
    assert not any(name.startswith(("tests/", "examples/")) for name in names)
