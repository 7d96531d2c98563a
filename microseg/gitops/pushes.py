"""What git's hooks are asked about: the trees that a commit or a push would bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.gitops.command import git
from microseg.gitops.errors import PushRefusedError
from microseg.source import normalize_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BRANCHES = "refs/heads/"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is to be judged.

    Attributes:
        name: full name of a commit or a tree.
        what: what to call it in a sentence.

    """

    name: str
    what: str


def folder_in_repository(path: str) -> str:
    """Return the policy directory's path in a repository, empty for all of it; raises SourceError."""
    return "" if path.rstrip("/") in (".", "") else normalize_path(path)


def staged(top: Path, folder: str) -> list[Candidate]:
    """Return what the next commit would hold, nothing when it leaves the policy directory as it is.

    Raises GitError, as when a merge isn't finished.
    """
    words = ("--cached", "--quiet", "--no-ext-diff", "--ignore-submodules", "HEAD", "--", folder or ".")
    has_head = git(top, "rev-parse", "--verify", "--quiet", "HEAD", fine=(0, 1)) is not None
    if has_head and git(top, "diff", *words, fine=(0, 1)) is not None:
        return []
    return [Candidate(str(git(top, "write-tree")), "what is staged")]


def pushed(lines: Iterable[str], branch: str | None) -> list[Candidate]:
    """Return the commits a pre-push hook is asked about: heads of one branch over there, or of any branch.

    Args:
        lines: as git writes them: local ref, local object, remote ref, remote object.
        branch: its name; None: every branch.

    """
    candidates = []
    for line in lines:
        _, new, ref, _ = line.split()
        if not _is_none(new) and ref.startswith(BRANCHES) and branch in (None, _branch(ref)):
            candidates.append(Candidate(new, _branch(ref)))
    return candidates


def received(lines: Iterable[str], branch: str) -> list[Candidate]:
    """Return the commits a pre-receive hook is asked about: the new head of a branch; others pass unasked.

    Args:
        lines: as git writes them: old object, new object, ref.
        branch: its name.

    Raises:
        PushRefusedError: the branch would be deleted.

    """
    candidates = []
    for line in lines:
        _, new, ref = line.split()
        if ref != BRANCHES + branch:
            continue
        if _is_none(new):
            raise PushRefusedError(
                f"{branch} may not be deleted: hosts take their policy from it",
                advice="push the policy you want instead; on the server, git branch -D deletes it",
            )
        candidates.append(Candidate(new, branch))
    return candidates


def head_branch(repository: Path) -> str:
    """Return the branch that HEAD names, whether it has a commit or not; raises GitError."""
    ref = git(repository, "symbolic-ref", "HEAD")
    return _branch(str(ref))


def _branch(ref: str) -> str:
    return ref.removeprefix(BRANCHES)


def _is_none(name: str) -> bool:
    """Say whether git means "there is none" by an object name."""
    return not name.strip("0")
