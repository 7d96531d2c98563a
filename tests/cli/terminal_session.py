"""Typing commands in tests, and policies to type them about."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from microseg.cli import main

SHOP = """\
group web = 10.1.1.0/24, 2001:db8:1::/64
group db  = 10.1.3.10 - 10.1.3.19
policy shop priority 100 {
  allow web -> db : tcp/5432 log
  deny  any -> db
}
default deny log
test "the database listens to the web" { expect allow web & any4 -> db : tcp/5432 }
"""
ONE_MORE = SHOP.replace("  deny ", "  allow web -> db : tcp/9000\n  deny ")
COMMENTED = "# a remark\n" + SHOP.replace("  deny  any", "  # another\n  deny any")
BROKEN = SHOP.replace("10.1.1.0/24", "10.1.1.0/99")
FAILING = SHOP.replace("expect allow web & any4", "expect deny web & any4")


class Session:
    """One instance, and what is typed at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.policies = folder / "policies.d"
        self.policies.mkdir()
        self.settings = folder / "microseg.toml"
        self.settings.write_text('policy_dir = "policies.d"\nstate_dir = "state"\nrun_dir = "run"\n')
        self.write(SHOP)

    def write(self, text: str, name: str = "shop.mseg") -> None:
        (self.policies / name).write_text(text)

    def type(self, *words: str, **environment: str) -> Result:
        """Run a command line in this process."""
        env: dict[str, str | None] = {"MICROSEG_CONFIG": str(self.settings)}
        return CliRunner().invoke(main, list(words), env=env | environment)

    def expect(self, code: int, *words: str) -> str:
        """Run a command line, check its exit code, and return standard output."""
        result = self.type(*words)
        assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
        return result.stdout

    def objects(self, *words: str, code: int = 0) -> Any:
        """Run a command line with --format json and return what it printed."""
        return json.loads(self.expect(code, *words, "--format", "json"))

    def git(self, *arguments: str) -> str:
        env = os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=self.folder,
            env=env,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, subject: str) -> str:
        """Commit the policy directory and return the commit's name."""
        if not (self.folder / ".git").exists():
            self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "policies.d")
        self.git("commit", "--quiet", "--allow-empty", f"--message={subject}")
        return self.git("rev-parse", "HEAD")
