"""Policy text of one commit, read from the object database; the only module that knows git.

A commit is resolved once and its blobs are read from there, so what is compiled never depends on files that
somebody is just writing.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from microseg.gitops.errors import (
    DubiousOwnershipError,
    GitError,
    GitMissingError,
    NoPolicyDirectoryError,
    NotARepositoryError,
    TooManyFilesError,
    UnknownRevisionError,
)
from microseg.gitops.listing import Entry, EntryKind, read_listing
from microseg.gitops.record import Candidate
from microseg.reconcile.revision import Revision
from microseg.render import printable, shortened
from microseg.source import SourceError, check_size, is_policy_path, normalize_path

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # a missing git is told when it's needed, not at import

from git import Repo
from git.exc import GitCommandError, GitCommandNotFound, InvalidGitRepositoryError

if TYPE_CHECKING:
    from types import TracebackType

MAX_LINKS = 40
"""Symbolic links followed for one path, as in the kernel."""

HASH_LENGTHS = (40, 64)


class GitTree:
    """The policy directory in one commit; a SourceTree and a context manager."""

    def __init__(self, repo: Repo, revision: Revision, entries: dict[str, Entry]) -> None:
        self.revision = revision
        self._repo = repo
        self._entries = entries

    def policy_paths(self) -> list[str]:
        """Return the relative paths of all policy files, sorted; hidden files and folders are skipped."""
        return sorted(
            path
            for path, entry in self._entries.items()
            if is_policy_path(path) and entry.kind is not EntryKind.SUBMODULE
        )

    def read(self, path: str) -> bytes:
        """Return a file's content; raises SourceError for whatever isn't a file inside the directory."""
        real = self._resolve(path)
        entry = self._entries.get(real)
        if entry is None:
            folder = any(other.startswith(f"{real}/") for other in self._entries)
            raise SourceError(path, "not a regular file" if folder or not real else "no such file")
        if entry.kind is EntryKind.SUBMODULE:
            raise SourceError(path, "not a regular file")
        return self._blob(path, entry)

    def version(self, path: str) -> str:
        """Return the name of the object that has a file's content; empty for what can't be read."""
        try:
            entry = self._entries.get(self._resolve(path))
        except SourceError:
            return ""
        return entry.name if entry else ""

    def close(self) -> None:
        """End the git processes that serve this tree."""
        self._repo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _blob(self, path: str, entry: Entry) -> bytes:
        """Return an object's content; one that is too large isn't even begun to be read."""
        name = bytes.fromhex(entry.name)
        check_size(path, self._repo.odb.info(name).size)
        content: bytes = self._repo.odb.stream(name).read()
        return content

    def _resolve(self, path: str) -> str:
        """Follow symbolic links in every part of a path; raises SourceError when they lead outside."""
        pending = normalize_path(path).split("/")
        done: list[str] = []
        links = 0
        while pending:
            part = pending.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                if not done:
                    raise SourceError(path, "a symbolic link that leads outside the policy directory")
                done.pop()
                continue
            entry = self._entries.get("/".join((*done, part)))
            if entry is None or entry.kind is not EntryKind.LINK:
                done.append(part)
                continue
            links += 1
            pending = [*self._target(path, entry, links), *pending]
        return "/".join(done)

    def _target(self, path: str, entry: Entry, links: int) -> list[str]:
        if links > MAX_LINKS:
            raise SourceError(path, "too many levels of symbolic links")
        target = os.fsdecode(self._blob(path, entry))
        if target.startswith("/"):
            raise SourceError(path, "a symbolic link that leads outside the policy directory")
        return target.split("/")


def open_revision(policy_dir: Path, revision: str) -> GitTree:
    """Return the policy directory as it is in a commit.

    Args:
        policy_dir: inside the work tree; it need not exist there any more.
        revision: whatever names a commit: a branch, a tag, a hash, HEAD~2.

    Raises:
        NotARepositoryError, UnknownRevisionError, NoPolicyDirectoryError: it isn't there.
        DubiousOwnershipError, GitMissingError: git refuses or is missing.

    """
    repo, prefix = _open(policy_dir)
    try:
        commit = _existing_commit(repo, revision)
        return GitTree(repo, Revision(commit, _subject(repo, commit)), _entries(repo, commit, prefix))
    except BaseException:
        repo.close()
        raise


def open_object(folder: Path, name: str, prefix: str) -> GitTree:
    """Return a directory of a commit or a tree that git told a hook about.

    Also in a bare repository, and of a push whose objects git keeps in quarantine.

    Args:
        folder: where git started the hook.
        name: the object's full name.
        prefix: the directory's path in it; empty: all of it.

    Raises:
        NotARepositoryError, NoPolicyDirectoryError: it isn't there.

    """
    try:
        repo = Repo(folder, search_parent_directories=True, expand_vars=False)
    except InvalidGitRepositoryError as error:
        raise NotARepositoryError(f"{folder} is not in a git repository") from error
    try:
        commit = _commit(repo, name)
        revision = Revision(name, _subject(repo, commit) if commit else "")
        return GitTree(repo, revision, _entries(repo, name, prefix))
    except BaseException:
        repo.close()
        raise


def find_candidate(policy_dir: Path, revision: str, before: Candidate | None) -> tuple[Candidate, bool]:
    """Return the commit that a name stands for now, and whether it doesn't follow the one before.

    It doesn't after a force-push. When the history is too short to tell, as in a shallow clone, it's said to.

    Raises:
        NotARepositoryError, UnknownRevisionError: it isn't there.
        DubiousOwnershipError, GitMissingError: git refuses or is missing.

    """
    repo, _ = _open(policy_dir, is_checked=False)
    with repo:
        commit = _existing_commit(repo, revision)
        if before is not None and before.identity == commit:
            return before, False
        earlier = before.revision if before else None
        return _candidate(repo, commit), earlier is not None and _is_rewritten(repo, earlier.commit, commit)


def open_candidate(policy_dir: Path, revision: Revision) -> GitTree:
    """Return the policy directory as it is in a commit that is known; raises what `open_revision` raises."""
    repo, prefix = _open(policy_dir, is_checked=False)
    try:
        return GitTree(repo, revision, _entries(repo, revision.commit, prefix))
    except BaseException:
        repo.close()
        raise


def git_directories(policy_dir: Path) -> tuple[Path, Path]:
    """Return where HEAD is and where the branches are; they differ in a linked work tree."""
    repo, _ = _open(policy_dir)
    with repo:
        return Path(repo.git_dir).resolve(), Path(repo.common_dir).resolve()


def describe_directory(policy_dir: Path) -> Revision | None:
    """Return the commit that is checked out, dirty when the policy directory differs from it.

    None when the directory isn't in a repository, or the repository has no commit yet.

    Raises:
        DubiousOwnershipError, GitMissingError: git refuses or is missing.

    """
    try:
        repo, prefix = _open(policy_dir)
    except NotARepositoryError:
        return None
    with repo:
        commit = _commit(repo, "HEAD")
        if commit is None:
            return None
        return Revision(commit, _subject(repo, commit), _is_dirty(repo, prefix))


def remote_url(policy_dir: Path) -> str:
    """Return where the policy's repository fetches from, empty when from nowhere; raises GitError."""
    repo, _ = _open(policy_dir)
    with repo:
        names = [remote.name for remote in repo.remotes]
        if not names:
            return ""
        return repo.remotes["origin" if "origin" in names else names[0]].url


def _open(policy_dir: Path, *, is_checked: bool = True) -> tuple[Repo, str]:
    """Return the repository and the policy directory's path in it (empty: its top).

    A bare repository has commits only: `/srv/shop.git/policies.d` is the directory policies.d of those.
    """
    real = policy_dir.resolve()
    start = next(folder for folder in (real, *real.parents) if folder.is_dir())
    try:
        repo = Repo(start, search_parent_directories=True, expand_vars=False)
    except InvalidGitRepositoryError as error:
        raise NotARepositoryError(
            f"{policy_dir} is not in a git repository", advice=f"git init {policy_dir}"
        ) from error
    top = Path(repo.working_tree_dir or repo.git_dir).resolve()
    try:
        if is_checked:
            _check_access(repo)
        _check_inside(repo, real)
    except BaseException:
        repo.close()
        raise
    prefix = real.relative_to(top).as_posix()
    return repo, "" if prefix == "." else prefix


def _check_inside(repo: Repo, real: Path) -> None:
    """Refuse a policy directory in git's own files; in a bare repository it begins where those end."""
    git_dir = Path(repo.git_dir).resolve()
    is_own = real.exists() if repo.bare else True
    if real.is_relative_to(git_dir) and is_own and real != git_dir:
        raise NotARepositoryError(f"{real} belongs to git itself, and holds no policies")


def _check_access(repo: Repo) -> None:
    """Let git say whether it reads this repository at all; it refuses those of other users."""
    top = Path(repo.working_tree_dir or repo.git_dir).resolve()
    try:
        repo.git.rev_parse("--git-dir")
    except GitCommandNotFound as error:
        raise GitMissingError("the program git isn't installed", advice="apt install git") from error
    except GitCommandError as error:
        if {top.stat().st_uid, Path(repo.git_dir).stat().st_uid} - _own_ids():
            raise DubiousOwnershipError(
                f"the repository {top} belongs to another user, and git refuses to read it",
                advice=f"if you trust it: git config --global --add safe.directory {top}",
            ) from error
        raise GitError(f"git can't read the repository {top}: {_last_line(error)}") from error


def _own_ids() -> set[int]:
    """Return the users whose repositories git reads: ours, and under sudo the user's who called it."""
    sudo = os.environ.get("SUDO_UID", "")
    return {os.geteuid(), int(sudo)} if os.geteuid() == 0 and sudo.isdecimal() else {os.geteuid()}


def _commit(repo: Repo, revision: str) -> str | None:
    """Return the full name of a commit, None when there is none. The text can't become an option."""
    if not revision or "\0" in revision:
        return None
    try:
        name = repo.git.rev_parse("--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except GitCommandError:
        return None
    is_hash = len(name) in HASH_LENGTHS and all(digit in "0123456789abcdef" for digit in name)
    return name if is_hash else None


def _existing_commit(repo: Repo, revision: str) -> str:
    commit = _commit(repo, revision)
    if commit is None:
        _check_access(repo)
        shallow = "; this clone is shallow: git fetch --unshallow" if _is_shallow(repo) else ""
        raise UnknownRevisionError(
            f"{revision!r} names no commit of {repo.working_dir or repo.git_dir}",
            advice=f"git log --oneline shows what there is; git fetch gets what others have{shallow}",
        )
    return commit


def _is_shallow(repo: Repo) -> bool:
    return (Path(repo.common_dir) / "shallow").exists()


def _candidate(repo: Repo, commit: str) -> Candidate:
    """Return a commit with its subject, without what could steer a terminal, and its time."""
    said = repo.git.log("-1", "--no-show-signature", "--format=%ct %s", commit)
    seconds, _, subject = said.encode(errors="surrogateescape").decode(errors="replace").partition(" ")
    return Candidate(
        commit, Revision(commit, shortened(printable(subject))), datetime.fromtimestamp(int(seconds), UTC)
    )


def _is_rewritten(repo: Repo, before: str, after: str) -> bool:
    status, _, _ = repo.git.merge_base(
        "--is-ancestor", before, after, with_extended_output=True, with_exceptions=False
    )
    return status == 1 and not _is_shallow(repo)


def _subject(repo: Repo, commit: str) -> str:
    """Return the first line of a commit's message, without what could steer a terminal."""
    summary = repo.commit(commit).summary
    text = summary.decode(errors="replace") if isinstance(summary, bytes) else summary
    return shortened(printable(text))


def _entries(repo: Repo, commit: str, prefix: str) -> dict[str, Entry]:
    """Return what the policy directory holds in a commit, by relative path."""
    listing = repo.git.ls_tree("-r", "-z", "--full-tree", f"{commit}:{prefix}", as_process=True)
    try:
        entries = read_listing(listing.stdout)
        listing.wait()
    except TooManyFilesError:
        listing.kill()
        raise
    except GitCommandError as error:
        if prefix and _is_submodule(repo, commit, prefix):
            raise NoPolicyDirectoryError(
                f"{prefix} is a submodule in commit {commit[:10]}: a repository of its own",
                advice="name that repository, or the directory where it is checked out",
            ) from error
        raise NoPolicyDirectoryError(
            f"commit {commit[:10]} has no directory {prefix or '.'}",
            advice="name the policy directory as it is in that commit: --policy-dir",
        ) from error
    return entries


def _is_submodule(repo: Repo, commit: str, prefix: str) -> bool:
    listing = repo.git.ls_tree("-z", "--full-tree", commit, "--", prefix)
    return bool(listing.startswith(EntryKind.SUBMODULE.value))


def _is_dirty(repo: Repo, prefix: str) -> bool:
    """Say whether the policy directory differs from the commit; hidden files don't count."""
    with repo.git.custom_environment(GIT_OPTIONAL_LOCKS="0"):
        status = repo.git.status(
            "--porcelain",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--",
            prefix or ".",
            strip_newline_in_stdout=False,
        )
    top = f"{prefix}/" if prefix else ""
    changed = [line[len("XY ") :].removeprefix(top) for line in status.split("\0") if line]
    return not all(any(part.startswith(".") for part in path.split("/")) for path in changed)


def _last_line(error: GitCommandError) -> str:
    lines = str(error.stderr).strip().strip("'").splitlines()
    return lines[-1] if lines else f"status {error.status}"
