"""The first root file system, as the kernel would read it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from kernels.cpio import FOLDER, Entry, archive
from kernels.machine import BUSYBOX

FILES = [Entry("bin", mode=FOLDER), Entry("bin/tool", b"#!/bin/sh\nexit 3\n"), Entry("empty")]


def test_each_part_starts_at_a_multiple_of_four() -> None:
    packed = archive(FILES)
    assert len(packed) % 4 == 0
    assert [at % 4 for at in range(len(packed)) if packed.startswith(b"070701", at)] == [0] * 4


def test_another_program_unpacks_the_same_files(tmp_path: Path) -> None:
    if not BUSYBOX.exists():
        pytest.skip("busybox isn't installed: it comes with make test-kernels")
    subprocess.run([BUSYBOX, "cpio", "-i"], cwd=tmp_path, input=archive(FILES), check=True)
    assert (tmp_path / "empty").read_bytes() == b""
    assert subprocess.run([tmp_path / "bin/tool"], check=False).returncode == 3
