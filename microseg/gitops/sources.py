"""Where the agent's policies come from: a remote, a branch of a local repository, or files as they are."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from microseg.agent_settings import Signed
from microseg.gitops import fetching, revisions, signatures, snapshot
from microseg.gitops.errors import GitError, NotARepositoryError, UnknownRevisionError
from microseg.gitops.fetching import FOLLOWED, Remote
from microseg.gitops.record import Candidate
from microseg.source import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from microseg.agent_settings import AgentSettings
    from microseg.source import SourceTree

CLONE = "clone.git"
"""The agent's clone of a remote, in the state directory."""

KEPT_SNAPSHOTS = 3
"""States of the files that can be gone back to: the newest, the last good one, and the one before."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a source has.

    Attributes:
        candidate: the newest text that can be had; None: none yet.
        problem: why there may be newer text: message and advice.
        rewritten: the commit before, when the candidate doesn't follow it.
        settled: False: somebody is just writing; look again soon.

    """

    candidate: Candidate | None = None
    problem: tuple[str, str] | None = None
    rewritten: str = ""
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Watched:
    """A folder whose changes mean that it's time to look; need not exist.

    Attributes:
        path: the folder.
        names: what counts in it; empty: everything, in all folders below as well.

    """

    path: Path
    names: frozenset[str] = frozenset()


class Source(Protocol):
    """Where policies come from. Nothing here raises for what may pass: that is a problem to go on with."""

    @property
    def name(self) -> str:
        """What is followed, for people."""

    def look(self, before: Candidate | None) -> Look:
        """Return what there is now; `before` is what was seen last."""

    def open(self, candidate: Candidate) -> AbstractContextManager[SourceTree]:
        """Give a candidate's text; raises GitError or SourceError when it can't be had any more."""

    def verify(self, candidate: Candidate) -> None:
        """Return when a candidate is signed as the settings want it; raises SignatureError."""

    def watched(self) -> tuple[Watched, ...]:
        """Return the folders to watch."""


class BranchSource:
    """A branch, tag or commit of the repository that holds the policy directory."""

    def __init__(self, policy_dir: Path, revision: str, settings: AgentSettings) -> None:
        self._policy_dir = policy_dir
        self._revision = revision
        self._settings = settings

    @property
    def name(self) -> str:
        """What is followed, for people."""
        return f"{self._revision} of {self._policy_dir}"

    def look(self, before: Candidate | None) -> Look:
        """Return the commit that the name stands for now."""
        try:
            candidate, is_other = revisions.find_candidate(self._policy_dir, self._revision, before)
        except UnknownRevisionError as error:
            return Look(before, (f"{error.message} (any more)" if before else error.message, error.advice))
        except GitError as error:
            return Look(before, (error.message, error.advice))
        return Look(candidate, rewritten=before.identity if before and is_other else "")

    def open(self, candidate: Candidate) -> AbstractContextManager[SourceTree]:
        """Give the policy directory as it is in that commit."""
        assert candidate.revision, "what is followed is a commit"
        return revisions.open_candidate(self._policy_dir, candidate.revision)

    def verify(self, candidate: Candidate) -> None:
        """Let git verify the commit, or the tag that is followed."""
        if self._settings.signed is not Signed.NOTHING:
            _, shared = revisions.git_directories(self._policy_dir)
            signatures.verify(shared, self._revision, candidate.identity, self._settings)

    def watched(self) -> tuple[Watched, ...]:
        """Return where git keeps branches."""
        try:
            head, shared = revisions.git_directories(self._policy_dir)
        except GitError:
            return ()
        files = frozenset({"HEAD", "packed-refs"})
        return (*(Watched(folder, files) for folder in sorted({head, shared})), Watched(shared / "refs"))


class RemoteSource:
    """A branch, tag or commit of a remote, by way of a clone of the agent's own."""

    def __init__(self, settings: AgentSettings, state_dir: Path) -> None:
        self._remote = Remote(settings.remote, settings.branch or "main", settings.fetch_timeout_s)
        self._clone = state_dir / CLONE
        self._fetched = BranchSource(self._clone / settings.directory, FOLLOWED, settings)
        fetching.remove_stale_locks(self._clone)

    @property
    def name(self) -> str:
        """What is followed, for people."""
        return f"{self._remote.name} of {self._remote.url}"

    def look(self, before: Candidate | None) -> Look:
        """Fetch, and return what was fetched, now or last."""
        try:
            fetching.fetch(self._clone, self._remote)
        except GitError as error:
            last = self._fetched.look(before)
            return Look(last.candidate, (error.message, error.advice), last.rewritten)
        return self._fetched.look(before)

    def open(self, candidate: Candidate) -> AbstractContextManager[SourceTree]:
        """Give the policy directory as it is in that commit."""
        return self._fetched.open(candidate)

    def verify(self, candidate: Candidate) -> None:
        """Let git verify what was fetched."""
        self._fetched.verify(candidate)

    def watched(self) -> tuple[Watched, ...]:
        """Return nothing: a remote tells by the trigger file, or is asked on the interval."""
        return ()


class FileSource:
    """The files of the policy directory as they are, committed or not."""

    def __init__(self, policy_dir: Path) -> None:
        self._policy_dir = policy_dir
        self._trees: dict[str, SourceTree] = {}

    @property
    def name(self) -> str:
        """What is followed, for people."""
        return f"the files of {self._policy_dir}"

    def look(self, before: Candidate | None) -> Look:
        """Return the files of one moment; a clean checkout counts as its commit."""
        try:
            git_dir = self._git_dir()
            first = revisions.describe_directory(self._policy_dir)
            taken = snapshot.take(self._policy_dir, git_dir)
            revision = revisions.describe_directory(self._policy_dir)
        except snapshot.UnsettledError:
            return Look(settled=False)
        except SourceError as error:
            return Look(before, (f"the files can't be read: {error}", ""))
        except GitError as error:
            return Look(before, (error.message, error.advice))
        if first != revision:
            return Look(settled=False)
        clean = revision is not None and not revision.dirty
        identity = revision.commit if revision is not None and clean else f"files:{taken.digest}"
        self._keep(identity, taken.tree)
        return Look(Candidate(identity, revision))

    def open(self, candidate: Candidate) -> AbstractContextManager[SourceTree]:
        """Give the files as they were; of a clean checkout also when that was long ago."""
        if candidate.identity in self._trees:
            return nullcontext(self._trees[candidate.identity])
        if candidate.revision is None or candidate.revision.dirty:
            raise GitError("the files have changed since, and are in no commit")
        return revisions.open_revision(self._policy_dir, candidate.identity)

    def verify(self, candidate: Candidate) -> None:
        """Return: files carry no signature, and settings that want one name a branch."""

    def watched(self) -> tuple[Watched, ...]:
        """Return the directory, what it lies in, and where git says that a checkout has ended."""
        git_dir = self._git_dir()
        above = Watched(self._policy_dir.parent, frozenset({self._policy_dir.name}))
        git = (Watched(git_dir, frozenset({"HEAD", "index"})),) if git_dir else ()
        return (Watched(self._policy_dir), above, *git)

    def _keep(self, identity: str, tree: SourceTree) -> None:
        self._trees.pop(identity, None)
        self._trees[identity] = tree
        while len(self._trees) > KEPT_SNAPSHOTS:
            del self._trees[next(iter(self._trees))]

    def _git_dir(self) -> Path | None:
        try:
            return revisions.git_directories(self._policy_dir)[0]
        except NotARepositoryError:
            return None


def open_source(settings: AgentSettings, policy_dir: Path, state_dir: Path) -> Source:
    """Return what the settings say to follow; raises GitError for a name that can't be one."""
    if settings.remote:
        return RemoteSource(settings, state_dir)
    if settings.branch:
        return BranchSource(policy_dir, settings.branch, settings)
    return FileSource(policy_dir)
