"""Fetching one branch, tag or commit of a remote into a clone of the agent's own.

The clone is bare and has one reference, FOLLOWED. Credentials come by git's own means (ssh's agent and keys,
credential helpers); nothing is ever asked on a terminal. No word of the configuration can become an option
or a command: transports are limited, references are checked, and options end before the first of them.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.gitops.errors import GitError, GitMissingError, RemoteError

if TYPE_CHECKING:
    from pathlib import Path

FOLLOWED = "refs/microseg/followed"
"""Where the clone keeps what was fetched last."""

TRANSPORTS = "file:https:ssh"
"""What a remote may be reached by; `ext::`, which runs commands, is not among them."""

LOCAL_TIMEOUT_S = 60.0
"""For git commands that talk to nobody."""

OWN = "--git-dir=."
"""The clone itself, however broken, and never a repository around it."""

LS_REMOTE_NO_MATCH = 2
"""Exit status of `git ls-remote --exit-code` when there is no such reference."""

_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_UNWANTED = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/$|\.$|\.lock(/|$)|(^|/)\.")
"""What git allows in no reference (git-check-ref-format(1))."""


@dataclass(frozen=True, slots=True)
class Remote:
    """What to fetch.

    Attributes:
        url: ssh, https, file, or a path.
        name: a branch, a tag, a whole reference, or the full name of a commit.
        timeout_s: for how long one fetch may take.

    """

    url: str
    name: str
    timeout_s: float

    def __post_init__(self) -> None:
        if self.url.startswith("-") or not self.url:
            raise GitError(f"{self.url!r} is no address of a repository")
        if self.name.startswith("-") or not self.name or _UNWANTED.search(self.name):
            raise GitError(f"{self.name!r} can't be the name of a branch, tag or commit")

    def references(self) -> tuple[str, ...]:
        """Return what the name may stand for over there, the first that exists counts."""
        if self.name.startswith("refs/") or _HASH.fullmatch(self.name):
            return (self.name,)
        return f"refs/heads/{self.name}", f"refs/tags/{self.name}"


def fetch(clone: Path, remote: Remote) -> None:
    """Bring FOLLOWED up to date, whatever happened to history over there.

    The clone is made when there is none, and anew when it is broken.

    Raises:
        RemoteError: it can't be fetched; FOLLOWED stays as it was.
        GitMissingError: git isn't installed.

    """
    if not (clone / "objects").is_dir():
        _make(clone)
    try:
        _fetch_first(clone, remote)
    except RemoteError as error:
        if _is_whole(clone):
            raise _explained(clone, remote, error) from error
        _make(clone)
        _fetch_first(clone, remote)


def _fetch_first(clone: Path, remote: Remote) -> None:
    """Fetch the first reference that exists; raises what failed for the very first of them."""
    failure: RemoteError | None = None
    for reference in remote.references():
        try:
            _fetch_one(clone, remote, reference)
        except RemoteError as error:
            failure = failure or error
        else:
            return
    assert failure, "a remote has a reference at least"
    raise failure


def remove_stale_locks(clone: Path) -> None:
    """Remove locks that a killed git has left in the clone; only for the one who owns it."""
    for lock in clone.rglob("*.lock"):
        lock.unlink(missing_ok=True)


def _fetch_one(clone: Path, remote: Remote, reference: str) -> None:
    words = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance",
             "--no-write-fetch-head", "--end-of-options", remote.url, f"+{reference}:{FOLLOWED}")  # fmt: skip
    status, text = _run(clone, OWN, "-c", "fetch.fsckObjects=true", *words, timeout_s=remote.timeout_s)
    if status:
        raise RemoteError(f"{remote.name} can't be fetched from {remote.url}: {text}")


def _explained(clone: Path, remote: Remote, failure: RemoteError) -> RemoteError:
    """Say whether the remote is gone, or the branch is."""
    words = ("ls-remote", "--exit-code", "--end-of-options", remote.url, *remote.references())
    status, _ = _run(clone, OWN, *words, timeout_s=remote.timeout_s)
    if status == LS_REMOTE_NO_MATCH and not _HASH.fullmatch(remote.name):
        return RemoteError(
            f"{remote.url} has no branch or tag {remote.name} (any more)",
            advice="push it again, or name another one: branch, under [agent] in microseg.toml",
        )
    by_hand = f"git ls-remote {remote.url}"
    return RemoteError(failure.message, advice=f"as the agent's user: {by_hand}")


def _is_whole(clone: Path) -> bool:
    return _run(clone, OWN, "rev-parse", "--git-dir", timeout_s=LOCAL_TIMEOUT_S)[0] == 0


def _make(clone: Path) -> None:
    shutil.rmtree(clone, ignore_errors=True)
    clone.parent.mkdir(parents=True, exist_ok=True)
    words = ("init", "--quiet", "--bare", "--template=", "--", str(clone))
    status, text = _run(clone.parent, *words, timeout_s=LOCAL_TIMEOUT_S)
    if status:
        raise RemoteError(f"the agent's clone {clone} can't be made: {text}")


def _run(folder: Path, *words: str, timeout_s: float) -> tuple[int, str]:
    """Run git in a session of its own; return its status and the last line it said.

    What it started (ssh, index-pack) ends with it when the time is over.
    """
    try:
        process = subprocess.Popen(  # noqa: S603  a list of words, no shell
            ["git", *words],  # noqa: S607  where PATH says, as for every user of git
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise GitMissingError("the program git isn't installed", advice="apt install git") from error
    with process:
        try:
            _, said = process.communicate(timeout=timeout_s)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise RemoteError(f"git did not end within {timeout_s:g} s") from error
            raise
    return process.returncode, _reason(said)


def _environment() -> dict[str, str]:
    """Return our environment without what points git at another repository, and without questions."""
    ours = {name: value for name, value in os.environ.items() if name not in _POINTERS}
    return ours | {
        "GIT_ALLOW_PROTOCOL": TRANSPORTS,
        "GIT_TERMINAL_PROMPT": "0",
        "SSH_ASKPASS_REQUIRE": "never",
        "LC_ALL": "C.UTF-8",
    }


_POINTERS = frozenset(
    f"GIT_{name}"
    for name in ("DIR", "WORK_TREE", "COMMON_DIR", "INDEX_FILE", "NAMESPACE", "OBJECT_DIRECTORY",
                 "ALTERNATE_OBJECT_DIRECTORIES", "QUARANTINE_PATH")
)  # fmt: skip


def _reason(said: bytes) -> str:
    """Return the line that says most: the first that is called fatal or an error, else the last."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    told = [line.partition(":")[2].strip() for line in lines if line.startswith(("fatal:", "error:"))]
    return (told or lines[-1:] or ["it said nothing"])[0]
