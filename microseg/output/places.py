"""Paths as the reader of a format knows them: relative to where the command was called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class Places:
    """Where the policy directory lies.

    Attributes:
        folder: the policy directory, relative to the root of the reader's repository; absolute if outside.

    """

    folder: PurePosixPath

    @classmethod
    def seen_from(cls, root: PurePosixPath, folder: PurePosixPath) -> Places:
        """Return the places of a policy directory as seen from another; both paths are absolute."""
        return cls(folder.relative_to(root) if folder.is_relative_to(root) else folder)

    def path(self, policy_path: str) -> str:
        """Return the path of a file of the policy directory."""
        return str(self.folder / policy_path)

    def uri(self, policy_path: str) -> str:
        """Return the same as a URI reference (RFC 3986): relative, or with the scheme `file`."""
        full = self.folder / policy_path
        escaped = quote(str(full), errors="surrogateescape")
        return f"file://{escaped}" if full.is_absolute() else escaped
