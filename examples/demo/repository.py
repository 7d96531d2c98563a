"""The git repository of policies that the demonstration commits to."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

POLICIES = "policies.d"
AUTHOR = "Dana Operator <dana@example.org>"


@dataclass(frozen=True)
class Repository:
    """A working tree with a policy directory in it."""

    folder: Path

    @property
    def policies(self) -> Path:
        return self.folder / POLICIES

    def create(self) -> None:
        self.policies.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, name: str, text: str, subject: str) -> str:
        """Write a policy file, commit it, and return the commit's short name."""
        (self.policies / name).write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", f"--author={AUTHOR}", "-m", subject)
        return self._git("rev-parse", "--short", "HEAD").strip()

    def last_change(self) -> str:
        """Return the changed lines of the last commit, as git shows them."""
        lines = self._git("show", "--format=", "--unified=0").splitlines()
        return "\n".join(line for line in lines if line[:1] in "+-" and line[:3] not in {"+++", "---"})

    def _git(self, *arguments: str) -> str:
        """Run git apart from the settings, hooks and signing keys of whoever runs this."""
        own = {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_COMMITTER_NAME": "microseg demo",
            "GIT_COMMITTER_EMAIL": "demo@example.org",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        run = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=inherited | own,
            capture_output=True,
            check=True,
            text=True,
        )
        return run.stdout
