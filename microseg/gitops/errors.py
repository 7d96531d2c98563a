"""Why git could not answer. Apart from the module that imports git, so that naming them costs nothing."""

from __future__ import annotations


class GitError(Exception):
    """Git can't answer; nothing was changed.

    Attributes:
        message: what is wrong, in one line.
        advice: what to type next; may be empty.

    """

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


class NotARepositoryError(GitError):
    """The policy directory isn't in a git repository."""


class UnknownRevisionError(GitError):
    """There is no such commit."""


class DubiousOwnershipError(GitError):
    """Git refuses to read a repository of another user."""


class GitMissingError(GitError):
    """The program git isn't installed."""


class NoPolicyDirectoryError(GitError):
    """The commit doesn't have the policy directory."""


class ForeignHookError(GitError):
    """There is a hook already that isn't ours."""


class PushRefusedError(GitError):
    """A push would do what must not be done, whatever the policy in it says."""


class RemoteError(GitError):
    """What is followed can't be fetched; what was fetched before is still there."""


class SignatureError(GitError):
    """What has to be signed isn't, or not by somebody who may."""


class TooManyFilesError(GitError):
    """The policy directory of a commit has more files than a policy may."""
