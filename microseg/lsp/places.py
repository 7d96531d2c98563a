"""Places as the protocol counts them: lines from 0, columns from 0 in units the client chose."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.uris import from_fs_path, to_fs_path

from microseg.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FOLDER = "policies.d"
_UNIT_BYTES = {
    types.PositionEncodingKind.Utf8: ("utf-8", 1),
    types.PositionEncodingKind.Utf16: ("utf-16-le", 2),
    types.PositionEncodingKind.Utf32: ("utf-32-le", 4),
}


def path_of(uri: str) -> Path | None:
    """Return the file of a URI; None for a document that isn't a file."""
    name = to_fs_path(uri)
    return Path(os.path.normpath(name)) if name else None


def uri_of(path: Path) -> str:
    """Return the URI of a file."""
    return str(from_fs_path(str(path)))


def policy_directory(file: Path, workspace: Iterable[Path]) -> Path:
    """Return the directory of a policy file: the policies.d around it, the workspace, or its folder."""
    for folder in file.parents:
        if folder.name == FOLDER:
            return folder
    around = [folder for folder in workspace if file.is_relative_to(folder)]
    return max(around, key=lambda folder: len(folder.parts), default=file.parent)


class Ruler:
    """Measures the texts of one moment."""

    def __init__(self, texts: Mapping[str, str], encoding: types.PositionEncodingKind | str) -> None:
        self._lines = {path: text.split("\n") for path, text in texts.items()}
        self._codec, self._size = _UNIT_BYTES[types.PositionEncodingKind(encoding)]

    def position(self, path: str, line: int, column: int) -> types.Position:
        """Return a place as the protocol counts it."""
        before = self._line(path, line)[: column - 1]
        units = len(before.encode(self._codec, errors="surrogatepass")) // self._size
        return types.Position(line - 1, max(units, 0 if before else column - 1))

    def place(self, path: str, position: types.Position) -> tuple[int, int]:
        """Return line and column of a position."""
        encoded = self._line(path, position.line + 1).encode(self._codec, errors="surrogatepass")
        before = encoded[: position.character * self._size].decode(self._codec, errors="replace")
        return position.line + 1, len(before) + 1

    def range(self, span: Span) -> types.Range:
        """Return a span as the protocol counts it."""
        return types.Range(
            self.position(span.path, span.line, span.column),
            self.position(span.path, span.end_line, span.end_column),
        )

    def before(self, path: str, position: types.Position) -> str:
        """Return the text of a file up to a position."""
        line, column = self.place(path, position)
        lines = self._lines.get(path, [])
        return "\n".join([*lines[: line - 1], self._line(path, line)[: column - 1]])

    def whole(self, path: str) -> types.Range:
        """Return the range of a whole file."""
        lines = self._lines.get(path, [""])
        return self.range(Span(path, 1, 1, len(lines), len(lines[-1]) + 1))

    def _line(self, path: str, line: int) -> str:
        lines = self._lines.get(path, [])
        return lines[line - 1] if line <= len(lines) else ""
