"""Repositories to push between, and the program as it is installed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from microseg.cli import main

PROGRAM = Path(sys.executable).with_name("microseg")

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
WRONG = GOOD.replace("10.1.1.0/24", "10.1.1.0/99")
FAILING = GOOD.replace("expect allow", "expect deny")


def environment(folder: Path) -> dict[str, str]:
    """Return an environment without this machine's and this user's settings of git."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "MICROSEG_"))}
    who = {
        f"GIT_{role}_{what}": f"tester{'@example.org' if what == 'EMAIL' else ''}"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    return kept | who | {"GIT_CONFIG_GLOBAL": str(folder / "gitconfig"), "GIT_CONFIG_SYSTEM": "/dev/null"}


class Clone:
    """A repository and what is typed in it."""

    def __init__(self, folder: Path, *, bare: bool = False) -> None:
        self.folder = folder
        self.env = environment(folder.parent)
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", *(["--bare"] if bare else []))

    def run(self, *words: str | Path, within: str = ".") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            cwd=self.folder / within,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            errors="surrogateescape",
        )

    def git(self, *words: str) -> str:
        done = self.run("git", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def microseg(self, *words: str | Path, within: str = ".") -> subprocess.CompletedProcess[str]:
        """Type a command here; it runs in this process, which is quicker."""
        typed = [str(word) for word in words]
        with contextlib.chdir(self.folder / within):
            done = CliRunner().invoke(main, typed, env=dict(self.env))
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(typed, done.exit_code, done.stdout, done.stderr)

    def write(self, text: str, path: str = "policies.d/shop.mseg") -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(
        self, text: str | None = None, *, path: str = "policies.d/shop.mseg"
    ) -> subprocess.CompletedProcess[str]:
        """Try to commit all there is, as people do."""
        if text is not None:
            self.write(text, path)
        self.git("add", "--all")
        return self.run("git", "commit", "--quiet", "--message=a policy")

    def push(self, to: Clone, *refs: str) -> subprocess.CompletedProcess[str]:
        return self.run("git", "push", "--quiet", str(to.folder), *(refs or ("HEAD:main",)))

    def head(self, branch: str = "main") -> str:
        return self.run("git", "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}").stdout.strip()
