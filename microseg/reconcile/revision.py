"""Which state of the policy's text something was made from."""

from __future__ import annotations

from dataclasses import dataclass

SHORT_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit, and whether the text really is that commit's.

    Attributes:
        commit: its full name, in hexadecimal.
        subject: first line of its message.
        dirty: the text differs from it: changed or new files that nobody has committed.

    """

    commit: str
    subject: str
    dirty: bool = False

    def short(self) -> str:
        """Return the name as people write it, with `+changes` when the text isn't the commit's."""
        return self.commit[:SHORT_LENGTH] + ("+changes" if self.dirty else "")


def describe(revision: Revision | None) -> str:
    """Return a revision for a sentence; None is a policy directory outside git."""
    if revision is None:
        return "files outside git"
    return f"{revision.short()} ({revision.subject})" if revision.subject else revision.short()
