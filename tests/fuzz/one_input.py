"""What must hold whatever a policy directory says: only diagnostics, and the same meaning when formatted."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from microseg.abi import encode
from microseg.analysis import taste
from microseg.analysis.examine import examine
from microseg.diagnostics import has_errors
from microseg.editing.fixes import FIXABLE
from microseg.editing.mending import mend
from microseg.editing.overlay import OverlayTree
from microseg.lang.files import parse_tree
from microseg.lang.printer import print_file
from microseg.render import render_text
from microseg.source import MemoryTree

if TYPE_CHECKING:
    from microseg.compiler.pipeline import Compilation

SEPARATOR = b"\n-- list --\n"
"""Between the policy and the address list it can name as `file("l")`."""
TODAY = date(2026, 6, 1)
OPTIONS = taste.Options(repeated_default=True)


def check(content: bytes) -> None:
    """Look at a directory as lint, fmt and lint --fix do; raises AssertionError or whatever they raise."""
    policy, _, listed = content.partition(SEPARATOR)
    tree = MemoryTree({"p.mseg": policy, "l": listed})
    examination = examine(tree, TODAY, review=OPTIONS)
    compilation = examination.compilation
    said = [*compilation.diagnostics, *examination.failures]
    for each in said:
        if each.span.path not in compilation.sources:
            continue  # a file that is no text
        span, lines = each.span, compilation.sources[each.span.path].split("\n")
        assert 1 <= span.line <= span.end_line <= len(lines), each
        assert 1 <= span.column <= len(lines[span.line - 1]) + 1, each
        assert each.message, each
    render_text(said, compilation.sources)
    _check_format(tree, compilation)
    if FIXABLE.isdisjoint(each.code for each in said):
        return
    mended = mend(tree, TODAY, OPTIONS).examination.compilation
    assert has_errors(compilation.diagnostics) or not has_errors(mended.diagnostics)


def _check_format(tree: MemoryTree, compilation: Compilation) -> None:
    (file,) = compilation.files
    if file.broken or has_errors(parse_tree(tree).diagnostics):
        return
    text = print_file(file)
    again = examine(OverlayTree(tree, {"p.mseg": text.encode()}), TODAY).compilation
    assert print_file(again.files[0]) == text
    if compilation.image:
        assert again.image
        assert encode(again.image) == encode(compilation.image)
