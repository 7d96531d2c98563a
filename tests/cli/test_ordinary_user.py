"""What must run as an ordinary user, on a machine without bcc, in real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.terminal_session import BROKEN, ONE_MORE, Session
from tree import ROOT

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can read."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def instance(folder: Path) -> Session:
    session = Session(folder)
    session.commit("the first")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    return session


@pytest.fixture
def poor(folder: Path) -> Path:
    """A folder of modules that stand in for what isn't installed."""
    modules = folder / "modules"
    modules.mkdir()
    for name in ("bcc", "pyroute2"):
        (modules / f"{name}.py").write_text(f'raise ImportError("no module named {name}")\n')
    return modules


def run(instance: Session, poor: Path, *words: str) -> subprocess.CompletedProcess[str]:
    user = NOBODY if os.geteuid() == 0 else None
    if user and any(not part.stat().st_mode & 0o001 for part in (ROOT, *ROOT.parents)):
        pytest.skip("other users can't reach this checkout")
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(poor),
        "MICROSEG_CONFIG": str(instance.settings),
        "HOME": "/nonexistent",
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }
    program = Path(sys.executable).parent / "microseg"
    return subprocess.run(
        [program, *words],
        env=env,
        cwd="/",
        user=user,
        group=user,
        extra_groups=[] if user else None,
        capture_output=True,
        check=False,
        text=True,
    )


def test_the_stand_ins_stand_in(poor: Path) -> None:
    env = {"PYTHONPATH": str(poor)}
    done = subprocess.run([sys.executable, "-c", "import bcc"], env=env, capture_output=True, check=False)
    assert b"no module named bcc" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["lint"],
        ["test"],
        ["fmt", "--diff"],
        ["test", "--rev", "HEAD"],
        ["plan", "--against", "HEAD"],
        ["plan", "--against", "HEAD", "--detailed-exitcode"],
        ["plan", "--rev", "HEAD", "--against", "HEAD", "--format", "json"],
        ["explain", "MS301"],
        ["trace", "--no-kernel", "10.1.1.5 -> 10.1.3.10 : tcp/5432"],
        ["--help"],
    ],
    ids=" ".join,
)
def test_what_needs_no_kernel(instance: Session, poor: Path, words: list[str]) -> None:
    done = run(instance, poor, *words)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_plan_against_a_commit_sees_the_change(instance: Session, poor: Path) -> None:
    instance.write(ONE_MORE)
    done = run(instance, poor, "plan", "--against", "HEAD", "--detailed-exitcode")
    assert done.returncode == 2
    assert "Newly allowed, denied so far\n  + web -> db : tcp/9000" in done.stdout


def test_a_wrong_policy_is_1(instance: Session, poor: Path) -> None:
    instance.write(BROKEN)
    done = run(instance, poor, "lint")
    assert done.returncode == 1
    assert "error[MS202]" in done.stdout


@pytest.mark.parametrize(
    "words", [["plan", "-i", "lo"], ["apply", "-i", "lo"], ["status"], ["rollback"], ["test", "--kernel"]]
)
def test_what_needs_the_kernel_says_so(instance: Session, words: list[str], folder: Path) -> None:
    nothing = folder / "nothing"
    nothing.mkdir()
    for private in ("state", "run"):
        (folder / private).mkdir(mode=0o700)
    done = run(instance, nothing, *words)
    assert done.returncode == 4
    assert "error: " in done.stderr
    assert "root" in done.stderr
    assert "Traceback" not in done.stderr
