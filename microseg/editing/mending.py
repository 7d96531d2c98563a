"""Fixing a whole directory: until nothing is left to fix, because one fix uncovers another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.analysis import taste
from microseg.analysis.examine import examine
from microseg.editing import edits
from microseg.editing.fixes import fixes
from microseg.editing.meaning import is_kept
from microseg.editing.overlay import OverlayTree
from microseg.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from microseg.analysis.examine import Examination
    from microseg.compiler.pipeline import Compilation
    from microseg.diagnostics import Diagnostic
    from microseg.source import SourceTree

MAX_ROUNDS = 100
"""A chain of groups that only use each other takes a round each; beyond that the next run goes on."""
_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Mended:
    """A policy directory after its safe fixes.

    Attributes:
        contents: the new content of each file that changed.
        fixed: what went away, in the order it was fixed.
        examination: what there is to say about the directory now.

    """

    contents: dict[str, bytes]
    fixed: tuple[Diagnostic, ...]
    examination: Examination


def mend(tree: SourceTree, today: date, options: taste.Options = taste.DEFAULT_OPTIONS) -> Mended:
    """Return what the safe fixes make of a policy directory; nothing is written."""
    contents: dict[str, bytes] = {}
    fixed: list[Diagnostic] = []
    examination = examine(tree, today, review=options)
    for _ in range(MAX_ROUNDS):
        changed, gone = _once(OverlayTree(tree, contents), examination.compilation)
        if not changed:
            break
        after = examine(OverlayTree(tree, contents | changed), today, review=options)
        if not is_kept(examination.compilation, after.compilation):
            break  # it can't be: but a fix that breaks a policy, or changes what it does, is never kept
        contents |= changed
        fixed += gone
        examination = after
    return Mended(contents, tuple(fixed), examination)


def _once(tree: SourceTree, found: Compilation) -> tuple[dict[str, bytes], list[Diagnostic]]:
    """Return the files that change in one round, and what is fixed by that."""
    made = fixes(found.diagnostics, found.files, found.sources)
    changed: dict[str, bytes] = {}
    for path, content in _contents(tree, {fix.diagnostic.span.path for fix in made}):
        mark = _MARK if content.startswith(_MARK.encode()) else ""
        if content != (mark + found.sources[path]).encode():
            continue  # it has characters that can't be seen, which the parser took for blanks
        text = edits.apply(found.sources[path], [fix.edit for fix in made if fix.edit.span.path == path])
        changed[path] = (mark + text).encode()
    return changed, [fix.diagnostic for fix in made if fix.diagnostic.span.path in changed]


def _contents(tree: SourceTree, paths: set[str]) -> Iterator[tuple[str, bytes]]:
    for path in sorted(paths):
        try:
            yield path, tree.read(path)
        except SourceError:  # gone since it was parsed
            continue
