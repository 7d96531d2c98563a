"""Whether an edit leaves every packet as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.analysis import difference
from microseg.compiler.pipeline import Compilation, compile_tree
from microseg.diagnostics import has_errors
from microseg.editing.overlay import OverlayTree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from microseg.source import SourceTree


def is_kept(before: Compilation, after: Compilation) -> bool:
    """Say whether a policy does the same for every packet; one that was wrong may become anything."""
    if has_errors(before.diagnostics):
        return True
    return not has_errors(after.diagnostics) and not difference.compare(before.intended, after.intended)


def is_kept_by(changed: Mapping[str, bytes], tree: SourceTree, today: date) -> bool:
    """Say whether a policy directory does the same for every packet when these files have another content."""
    before, after = (compile_tree(each, today) for each in (tree, OverlayTree(tree, changed)))
    return is_kept(before, after)
