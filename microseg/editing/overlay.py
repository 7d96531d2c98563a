"""A policy directory of which somebody has another version in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.source import MemoryTree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microseg.source import SourceTree


class OverlayTree:
    """A policy directory in which some files have another content than they had."""

    def __init__(self, below: SourceTree, changed: Mapping[str, bytes]) -> None:
        self._below = below
        self._changed = frozenset(changed)
        self._above = MemoryTree(changed)

    def policy_paths(self) -> list[str]:
        """Return the paths of all policy files."""
        return sorted({*self._below.policy_paths(), *self._above.policy_paths()})

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        return self._above.read(path) if path in self._changed else self._below.read(path)
