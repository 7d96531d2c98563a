"""The pages of the diagnostics, as the package has them."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from microseg.diagnostics import Code

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

FOLDER = "_diagnostics"
"""Folder of the pages inside the package, a link to docs/diagnostics in the repository."""


def page_of(code: Code) -> str:
    """Return a page as Markdown; empty when this installation has none."""
    file: Traversable = resources.files("microseg").joinpath(FOLDER, f"{code.value}.md")
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def all_pages() -> dict[Code, str]:
    """Return every page."""
    return {code: page_of(code) for code in Code}
