"""Where the names of groups and services stand: each definition and each use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from microseg.compiler.service_values import PROTOCOLS
from microseg.lang import ast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.source import Span


class Kind(Enum):
    """What a name names; the value is the word of the language."""

    GROUP = "group"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Symbol:
    """A group or a service. Names are global to the directory; a group and a service may share one."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A place where a symbol is written."""

    symbol: Symbol
    span: Span
    is_definition: bool = False


def of_file(file: ast.File) -> Iterator[Occurrence]:
    """Yield every occurrence of a symbol in a file."""
    for statement in file.statements:
        match statement:
            case ast.Group(name, addresses):
                yield Occurrence(Symbol(Kind.GROUP, name.text), name.span, is_definition=True)
                yield from _in_addresses(addresses)
            case ast.Service(name, services):
                yield Occurrence(Symbol(Kind.SERVICE, name.text), name.span, is_definition=True)
                yield from _in_services(services)
            case ast.Policy(rules=lines) | ast.Test(expectations=lines):
                for line in lines:
                    yield from _in_addresses(line.flow.src)
                    yield from _in_addresses(line.flow.dst)
                    yield from _in_services(line.flow.services)
            case ast.Protect(src=src, services=services):
                yield from _in_addresses(src)
                yield from _in_services(services)
            case ast.Default():
                pass


def _in_addresses(node: ast.Addresses) -> Iterator[Occurrence]:
    match node:
        case ast.GroupName(name, span):
            yield Occurrence(Symbol(Kind.GROUP, name), span)
        case ast.Complement(operand=operand):
            yield from _in_addresses(operand)
        case ast.Operation(operands=operands):
            for operand in operands:
                yield from _in_addresses(operand)
        case _:
            pass


def _in_services(node: ast.Services | None) -> Iterator[Occurrence]:
    for term in node.terms if node else ():
        if isinstance(term, ast.ServiceName) and term.name not in PROTOCOLS:
            yield Occurrence(Symbol(Kind.SERVICE, term.name), term.span)
