"""Reporting by notes: a line for each try at its commit, under refs/notes/microseg.

`git log --notes=microseg` shows them. Hosts that push theirs to one repository don't get in each other's way:
lines of both are kept, sorted, each once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.gitops.command import git
from microseg.gitops.errors import GitError

if TYPE_CHECKING:
    from pathlib import Path

    from microseg.gitops.reports import Report

NOTES = "refs/notes/microseg"
THEIRS = "refs/notes/microseg-fetched"
"""What others have pushed, on its way into ours."""

PUSHES = 5
"""How often a push is begun anew because another host was quicker."""

_IDENTITY = (
    "-c",
    "user.name=microseg",
    "-c",
    "user.email=microseg@localhost",
    "-c",
    "core.notesRef=" + NOTES,
)


@dataclass(frozen=True, slots=True)
class Notes:
    """Where notes go.

    Attributes:
        repository: which has the commits.
        remote: where they are pushed to; empty: they stay.
        timeout_s: for how long a push or a fetch may take.

    """

    repository: Path
    remote: str
    timeout_s: float

    def write(self, report: Report) -> None:
        """Add a line to the note of a commit, and push it; raises GitError."""
        if not report.commit:
            return
        words = ("notes", f"--ref={NOTES}", "append", f"--message={report.to_line()}", report.commit)
        git(self.repository, *_IDENTITY, *words)
        if self.remote:
            self._push()

    def _push(self) -> None:
        for left in reversed(range(PUSHES)):
            self._merge()
            words = ("push", "--quiet", "--end-of-options", self.remote, f"{NOTES}:{NOTES}")
            try:
                git(self.repository, *words, timeout_s=self.timeout_s)
            except GitError:
                if not left:
                    raise
            else:
                return

    def _merge(self) -> None:
        """Take in what others have pushed, if anybody has."""
        there = git(
            self.repository, "ls-remote", "--end-of-options", self.remote, NOTES, timeout_s=self.timeout_s
        )
        if not there:
            return
        fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options")
        git(self.repository, *fetch, self.remote, f"+{NOTES}:{THEIRS}", timeout_s=self.timeout_s)
        merge = ("notes", f"--ref={NOTES}", "merge", "--quiet", "--strategy=cat_sort_uniq", THEIRS)
        git(self.repository, *_IDENTITY, *merge)
