"""One policy directory that is open in the editor."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from microseg.analysis.review import review
from microseg.editing.overlay import OverlayTree
from microseg.editing.snapshot import Snapshot
from microseg.source import DirectoryTree, is_policy_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from microseg.analysis.taste import Taste
    from microseg.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True)
class Findings:
    """What lint and test say about the directory, and the texts the places are in."""

    diagnostics: tuple[Diagnostic, ...]
    texts: Mapping[str, str]


@dataclass
class Directory:
    """A policy directory with the texts that aren't saved yet.

    Attributes:
        root: the folder.
        taste: how it is looked at.
        buffers: the content of open files, by path in the directory.
        published: the files the editor shows findings of.

    """

    root: Path
    taste: Taste
    buffers: dict[str, bytes] = field(default_factory=dict)
    published: set[str] = field(default_factory=set)
    _snapshot: Snapshot | None = None

    def path_of(self, file: Path) -> str:
        """Return a file's path in the directory."""
        return file.relative_to(self.root).as_posix()

    def open(self, file: Path, text: str) -> None:
        """Take the text of a file from the editor."""
        path = self.path_of(file)
        if is_policy_path(path):
            self.buffers[path] = text.encode(errors="surrogatepass")
        self.look_again()

    def close(self, file: Path) -> None:
        """Take the text of a file from the disk again."""
        self.buffers.pop(self.path_of(file), None)
        self.look_again()

    def look_again(self) -> None:
        """Forget what was read."""
        self._snapshot = None

    def snapshot(self) -> Snapshot:
        """Return the directory as it is now."""
        if self._snapshot is None:
            self._snapshot = Snapshot(self.tree())
        return self._snapshot

    def tree(self) -> OverlayTree:
        """Return the files as they are now."""
        return OverlayTree(DirectoryTree(self.root), dict(self.buffers))

    def findings(self, tree: OverlayTree) -> Findings:
        """Return what lint and test say about a tree of this directory."""
        examination = review(tree, datetime.now(UTC).date(), self.taste)
        found = (*examination.compilation.diagnostics, *examination.failures)
        return Findings(found, examination.compilation.sources)
