"""A policy directory at one moment, and what an editor asks about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from microseg.compiler.resolve import Resolution, resolve
from microseg.compiler.service_values import RESERVED
from microseg.editing import symbols
from microseg.editing.edits import Edit
from microseg.editing.symbols import Kind, Occurrence, Symbol
from microseg.lang import ast
from microseg.lang.files import Parsed, parse_tree
from microseg.lang.parser import parse
from microseg.lang.printer import print_file

if TYPE_CHECKING:
    from microseg.policy.addresses import AddressSet
    from microseg.source import SourceTree

_SHOWN = 8
"""Networks of a group that a hover lists."""


class RenameError(Exception):
    """A symbol can't have the name that was asked for; the message says why."""


@dataclass(frozen=True)
class Snapshot:
    """The files as they are now, unsaved ones included."""

    tree: SourceTree

    @cached_property
    def parsed(self) -> Parsed:
        """The syntax trees and texts."""
        return parse_tree(self.tree)

    @cached_property
    def resolution(self) -> Resolution:
        """What the names stand for."""
        return resolve(self.parsed.files, self.tree)

    @cached_property
    def occurrences(self) -> tuple[Occurrence, ...]:
        """Every occurrence of a symbol, in the order of the text."""
        found = (each for file in self.parsed.files for each in symbols.of_file(file))
        return tuple(sorted(found, key=lambda each: each.span))

    def at(self, path: str, line: int, column: int) -> Occurrence | None:
        """Return what stands at a place, or ends right in front of it."""
        for each in self.occurrences:
            span = each.span
            if span.path == path and span.line == line and span.column <= column <= span.end_column:
                return each
        return None

    def definitions(self, symbol: Symbol) -> list[Occurrence]:
        """Return where a symbol is defined."""
        return [each for each in self.occurrences if each.symbol == symbol and each.is_definition]

    def references(self, symbol: Symbol, *, with_definitions: bool) -> list[Occurrence]:
        """Return where a symbol is used."""
        return [
            each
            for each in self.occurrences
            if each.symbol == symbol and (with_definitions or not each.is_definition)
        ]

    def rename(self, symbol: Symbol, name: str) -> list[Edit]:
        """Return the edits that give a symbol another name everywhere; raises RenameError."""
        if not _is_name(name):
            raise RenameError(
                f"`{name}` can't be a name: letters, digits, `_`, inside also `-` and `.`, no word"
            )
        if symbol.kind is Kind.SERVICE and name in RESERVED:
            raise RenameError(f"`{name}` is a protocol, a service can't have its name")
        if name != symbol.name and self.definitions(Symbol(symbol.kind, name)):
            raise RenameError(f"there is a {symbol.kind.value} `{name}` already")
        broken = [file.path for file in self.parsed.files if file.broken]
        if broken:
            raise RenameError(f"correct the syntax of {broken[0]} first: it may use `{symbol.name}` too")
        return [Edit(each.span, name) for each in self.references(symbol, with_definitions=True)]

    def hover(self, symbol: Symbol) -> str:
        """Return what a symbol stands for, as Markdown; empty when it is not defined."""
        scope = self.resolution.scope
        lines = [_definition_text(self, each) for each in self.definitions(symbol)[:1]]
        if symbol.kind is Kind.GROUP and symbol.name in scope.sets:
            lines.append(_addresses_text(scope.sets[symbol.name]))
        if lines:
            uses = len(self.references(symbol, with_definitions=False))
            lines.append(f"Used {'once' if uses == 1 else f'{uses} times' if uses else 'nowhere'}.")
        return "\n\n".join(lines)

    def formatted(self, path: str) -> str | None:
        """Return the canonical text of a file; None when it has syntax errors or isn't there."""
        wrong = {each.span.path for each in self.parsed.diagnostics if each.is_error}
        for file in self.parsed.files:
            if file.path == path and not file.broken and path not in wrong:
                return print_file(file)
        return None

    def names(self, kind: Kind) -> list[str]:
        """Return the names of one kind that are defined, sorted."""
        found = {
            each.symbol.name for each in self.occurrences if each.is_definition and each.symbol.kind is kind
        }
        return sorted(found)


def _is_name(text: str) -> bool:
    """Say whether the language takes a text as a name: asked of the parser, the one who knows."""
    file, problems = parse("", f"group {text} = any")
    return not problems and [each.name.text for each in file.statements if isinstance(each, ast.Group)] == [
        text
    ]


def _definition_text(snapshot: Snapshot, definition: Occurrence) -> str:
    span = definition.span
    line = snapshot.parsed.texts[span.path].split("\n")[span.line - 1].strip()
    return f"```mseg\n{line}\n```\n{span.path}:{span.line}"


def _addresses_text(addresses: AddressSet) -> str:
    counts = []
    for word, ranges in (("IPv4", addresses.v4), ("IPv6", addresses.v6)):
        number = sum(high - low + 1 for low, high in ranges)
        if number:
            shown = f"{number:,}" if number < 1 << 40 else f"about 2^{number.bit_length() - 1}"
            counts.append(f"{shown} {word} address{'' if number == 1 else 'es'}")
    if not counts:
        return "No address."
    networks: list[str] = []
    for network in addresses.networks():
        if len(networks) == _SHOWN:
            networks.append("…")
            break
        networks.append(f"`{network}`")
    return f"{' and '.join(counts)}: {', '.join(networks)}"
