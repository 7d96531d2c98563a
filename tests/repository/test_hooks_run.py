"""The offered hooks, run by pre-commit and by prek: a scratch repository, this one cloned, no bcc to be had.

Both build an environment of the package's own, so this needs an index of packages that pip can reach.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from long_runs import is_long
from tree import ROOT

IDENTITY = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
HOOKS = ("microseg-fmt", "microseg-lint", "microseg-test")
GOOD = """\
group web = 10.1.1.0/24
group db = 10.1.3.10

policy shop {
  allow web -> db : tcp/5432
}

test "the web reaches the database" {
  expect allow web -> db : tcp/5432
}
"""
BAD = {
    "microseg-lint": GOOD.replace("10.1.1.0/24", "10.1.1.0/99"),
    "microseg-fmt": GOOD.replace("  allow", "allow"),
    "microseg-test": GOOD.replace("expect allow", "expect deny"),
}

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not is_long(), reason="fetches packages: part of make test-all"),
]


class Scratch:
    """A repository of policies whose commits pass the hooks of this one."""

    def __init__(self, folder: Path, runner: str) -> None:
        self.folder = folder / "scratch"
        self.policies = self.folder / "policies.d"
        self.policies.mkdir(parents=True)
        # No bcc: outside the virtual environment the distribution's packages can't be imported either.
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GIT_", "PYTHON", "MICROSEG_")) and name != "VIRTUAL_ENV"
        }
        self._env = kept | {
            "PRE_COMMIT_HOME": str(folder / "pre-commit"),
            "PREK_HOME": str(folder / "prek"),
            "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        (folder / "gitconfig").write_text("[safe]\n\tdirectory = *\n")
        self.git("init", "--quiet", "--initial-branch=main")
        clone = folder / "clone"
        self.git("clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone))
        hooks = ", ".join(f"{{id: {hook}}}" for hook in HOOKS)
        head = self.git("rev-parse", "HEAD", folder=clone)
        (self.folder / ".pre-commit-config.yaml").write_text(
            f"repos:\n- repo: {clone}\n  rev: {head}\n  hooks: [{hooks}]\n"
        )
        self._run(runner, "install", check=True)

    def git(self, *words: str, folder: Path | None = None) -> str:
        done = self._run("git", *IDENTITY, *words, folder=folder, check=True)
        return done.stdout.strip()

    def commit(self, text: str) -> subprocess.CompletedProcess[str]:
        """Try to commit a policy, as people do."""
        (self.policies / "shop.mseg").write_text(text)
        self.git("add", "-A")
        return self._run("git", *IDENTITY, "commit", "--message=a policy", check=False)

    def _run(self, *words: str, folder: Path | None = None, check: bool) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            cwd=folder or self.folder,
            env=self._env,
            check=check,
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module", params=["pre-commit", "prek"])
def scratch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    folder = tmp_path_factory.mktemp("hooks")
    yield Scratch(folder, request.param)
    shutil.rmtree(folder)


def test_a_good_commit_passes_and_bad_ones_are_blocked(scratch: Scratch) -> None:
    done = scratch.commit(GOOD)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    head = scratch.git("rev-parse", "HEAD")
    assert all(f"{hook.replace('-', ' ')}...." in said for hook in HOOKS), said
    for hook, text in BAD.items():
        done = scratch.commit(text)
        said = done.stdout + done.stderr
        assert done.returncode == 1, said
        assert f"hook id: {hook}" in said
        assert "Traceback" not in said
    assert scratch.git("rev-parse", "HEAD") == head


def test_what_the_hooks_say_is_shown(scratch: Scratch) -> None:
    done = scratch.commit(BAD["microseg-lint"])
    said = done.stdout + done.stderr
    assert "error[MS202]" in said
    assert "shop.mseg:1:13" in said


def test_the_environment_of_the_hooks_has_no_bcc(scratch: Scratch) -> None:
    pythons = [path for path in scratch.folder.parent.rglob("bin/python") if "clone" not in path.parts]
    assert pythons
    for python in pythons:
        done = subprocess.run(
            [python, "-c", "import bcc"], env={}, check=False, capture_output=True, text=True
        )
        assert "No module named 'bcc'" in done.stderr
