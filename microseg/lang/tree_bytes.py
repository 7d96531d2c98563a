"""Syntax trees as bytes, to be handed from process to process and kept between runs.

It is pickle, five times as fast as parsing, but reading it can make nothing except what a tree consists of:
any other name in the bytes is an error, so they can't run code, wherever they come from.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import fields, is_dataclass
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from microseg.lang import ast
from microseg.policy.rules import Action
from microseg.source import Span

if TYPE_CHECKING:
    from collections.abc import Callable

_PROTOCOL = 5
_BAD_BYTES = (
    *(pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError, KeyError),
    *(MemoryError, OverflowError, TypeError, ValueError),
)
"""What reading damaged or foreign bytes raises, by pickle's documentation and by trying."""


def _is_part(kind: object) -> bool:
    return (
        isinstance(kind, type)
        and kind.__module__ == ast.__name__
        and (is_dataclass(kind) or issubclass(kind, Enum))
    )


_PARTS: dict[tuple[str, str], type] = {
    (kind.__module__, kind.__qualname__): kind
    for kind in (*filter(_is_part, vars(ast).values()), Action, Span)
}


def _taken_apart(kind: type) -> Callable[[Any], tuple[type, tuple[Any, ...]]]:
    """Return what takes a node apart, into its class and what that is called with."""
    names = [each.name for each in fields(kind)]
    if len(names) == 1:
        return lambda node: (kind, (getattr(node, names[0]),))
    values = attrgetter(*names)
    return lambda node: (kind, values(node))


def _by_value(member: Enum) -> tuple[type, tuple[object]]:
    return type(member), (member.value,)


_REDUCERS: dict[type, Callable[[Any], Any]] = {
    kind: _taken_apart(kind) for kind in _PARTS.values() if is_dataclass(kind)
}
_REDUCERS |= {kind: _by_value for kind in _PARTS.values() if issubclass(kind, Enum)}
_REDUCERS[Span] = lambda span: (Span, tuple(span))


class _Writer(pickle.Pickler):
    dispatch_table = _REDUCERS


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        """Return a part of trees; nothing else may be named."""
        return _PARTS[module, name]


def to_bytes(file: ast.File) -> bytes | None:
    """Return a tree as bytes, None when it is nested too deeply for that."""
    written = io.BytesIO()
    try:
        _Writer(written, _PROTOCOL).dump(file)
    except RecursionError:
        return None
    return written.getvalue()


def from_bytes(path: str, content: bytes) -> ast.File | None:
    """Return the tree of the file of that path, None when the bytes aren't one."""
    try:
        file = _Reader(io.BytesIO(content)).load()
    except _BAD_BYTES:
        return None
    return file if isinstance(file, ast.File) and file.path == path else None
