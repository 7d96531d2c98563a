"""The set-up of a machine asks apt for what is missing, and for nothing else."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
SCRIPT = ROOT / "scripts" / "setup.sh"
DPKG_QUERY = 'case "$*" in *present*) echo -n installed ;; *) exit 1 ;; esac'
APT_GET = 'for word; do :; done; echo "$word" >>"$LOG"; [ "$word" != update ] || touch "$LOG.updated"'
APT_CACHE = 'case "$2" in %s) echo "  Candidate: 1.0" ;; *) echo "  Candidate: (none)" ;; esac'
UPDATED_ONLY = '[ -e "$LOG.updated" ] || exit 0\n'


@dataclass(frozen=True)
class Machine:
    """A folder of programs that stand in for the package manager's."""

    folder: Path

    def program(self, name: str, body: str) -> None:
        file = self.folder / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)

    def install(self, *packages: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
        command = f'source "{self.folder}/setup.sh"; install_packages {" ".join(packages)}'
        env = {"PATH": f"{self.folder}:{os.environ['PATH']}", "LOG": str(self.folder / "log")}
        return subprocess.run(
            ["bash", "-c", command], env=env, user=user, capture_output=True, check=False, text=True
        )

    def apt_calls(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Make a machine that an ordinary user may look at too, wherever the repository is."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield equipped(Machine(Path(folder) / "bin"))


def equipped(machine: Machine) -> Machine:
    machine.folder.mkdir()
    shutil.copy(SCRIPT, machine.folder)
    machine.program("dpkg-query", DPKG_QUERY)
    machine.program("apt-cache", APT_CACHE % "wanted|other")
    machine.program("apt-get", APT_GET)
    return machine


def test_nothing_is_asked_of_apt_when_all_is_there(machine: Machine) -> None:
    run = machine.install("present", "present-too")
    assert (run.returncode, run.stderr, machine.apt_calls()) == (0, "", [])


@pytest.mark.kernel
def test_only_what_is_missing_is_installed_and_the_lists_are_left_alone(machine: Machine) -> None:
    run = machine.install("present", "wanted")
    assert run.returncode == 0, run.stderr
    assert machine.apt_calls() == ["wanted"]


@pytest.mark.kernel
def test_the_lists_are_updated_when_apt_does_not_know_a_package(machine: Machine) -> None:
    machine.program("apt-cache", UPDATED_ONLY + APT_CACHE % "wanted")
    machine.program(
        "apt-get",
        'for word; do :; done; echo "$word" >>"$LOG"; [ "$word" != update ] || touch "$LOG.updated"',
    )
    run = machine.install("wanted")
    assert run.returncode == 0, run.stderr
    assert machine.apt_calls() == ["update", "wanted"]


@pytest.mark.kernel
def test_a_package_that_nobody_has_is_named(machine: Machine) -> None:
    run = machine.install("unheard-of")
    assert run.returncode == 1
    assert "apt knows no package for one of: unheard-of" in run.stderr
    assert machine.apt_calls() == ["update"]


@pytest.mark.kernel
def test_an_ordinary_user_is_told_what_to_type(machine: Machine) -> None:
    run = machine.install("wanted", user=NOBODY)
    assert run.returncode == 1
    assert "installing wanted needs root. Type: sudo make setup" in run.stderr
    assert machine.apt_calls() == []
