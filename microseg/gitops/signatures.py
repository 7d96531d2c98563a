"""Who may say what a host enforces: commits or tags that git itself verifies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.agent_settings import Signed
from microseg.gitops.command import git
from microseg.gitops.errors import GitError, SignatureError

if TYPE_CHECKING:
    from pathlib import Path

    from microseg.agent_settings import AgentSettings


def verify(repository: Path, followed: str, commit: str, settings: AgentSettings) -> None:
    """Return when a commit, or the tag that names it, carries a good signature of somebody who may sign.

    Args:
        repository: its folder of git.
        followed: what is followed, as a reference or a name.
        commit: the commit that was found there.
        settings: what has to be signed, and where the allowed signers are.

    Raises:
        SignatureError: it doesn't.
        GitMissingError: git isn't installed.

    """
    match settings.signed:
        case Signed.NOTHING:
            return
        case Signed.COMMIT:
            _verify(repository, "commit", commit, settings)
        case Signed.TAG:
            tag = _tag(repository, followed, commit, settings.branch.removeprefix("refs/tags/"))
            _verify(repository, "tag", tag, settings)


def _tag(repository: Path, followed: str, commit: str, name: str) -> str:
    """Return the tag's own object. It carries its name, so that an old tag can't be given out as another."""
    tag = git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", followed, fine=(0, 1)) or ""
    kind = git(repository, "cat-file", "-t", tag, fine=(0, 128)) if tag else None
    if kind != "tag":
        raise SignatureError(f"{name} is no signed tag", advice=f"git tag --sign {name} COMMIT, and push it")
    content = git(repository, "cat-file", "tag", tag) or ""
    head = dict(line.partition(" ")[::2] for line in content.partition("\n\n")[0].splitlines())
    if head.get("tag") != name or not _names(repository, tag, commit):
        raise SignatureError(f"the tag under the name {name} was made as {head.get('tag')}")
    return tag


def _names(repository: Path, tag: str, commit: str) -> bool:
    return git(repository, "rev-parse", "--verify", "--quiet", f"{tag}^{{commit}}", fine=(0, 1)) == commit


def _verify(repository: Path, kind: str, name: str, settings: AgentSettings) -> None:
    configured: tuple[str, ...] = ()
    if settings.allowed_signers:
        configured = ("-c", f"gpg.ssh.allowedSignersFile={settings.allowed_signers}")
    try:
        git(repository, *configured, f"verify-{kind}", name)
    except GitError as error:
        raise SignatureError(
            f"{kind} {name[:10]} carries no good signature of an allowed signer: {error.message}",
            advice=f"git verify-{kind} -v {name[:10]}; sign it and push again, or allow the signer",
        ) from error
