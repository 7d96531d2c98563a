"""What a statement names: groups, services and address lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from microseg.compiler import service_values
from microseg.compiler.names import group_names
from microseg.lang import ast

if TYPE_CHECKING:
    from collections.abc import Iterator


Named: TypeAlias = tuple[frozenset[str], frozenset[str]]
"""Groups, and services."""


class References(NamedTuple):
    """The names in a statement, each once, in the order of the text; of address lists their places."""

    groups: tuple[str, ...]
    services: tuple[str, ...]
    lists: tuple[ast.ListFile, ...]


def references_of(node: ast.Statement) -> References:
    """Return what a statement names."""
    addresses, services = list(_addresses(node)), list(_services(node))
    lists: dict[str, ast.ListFile] = {}
    for found in (found for each in addresses for found in _lists(each)):
        lists.setdefault(found.path.unquoted, found)
    return References(
        tuple(dict.fromkeys(name for each in addresses for name, _ in group_names(each))),
        tuple(
            dict.fromkeys(
                term.name
                for each in services
                for term in each.terms
                if isinstance(term, ast.ServiceName) and term.name not in service_values.PROTOCOLS
            )
        ),
        tuple(lists.values()),
    )


def _addresses(node: ast.Statement) -> Iterator[ast.Addresses]:
    match node:
        case ast.Group(addresses=addresses):
            yield addresses
        case ast.Protect(src=src):
            yield src
        case ast.Policy(rules=lines) | ast.Test(expectations=lines):
            for line in lines:
                yield line.flow.src
                yield line.flow.dst
        case _:
            pass


def _services(node: ast.Statement) -> Iterator[ast.Services]:
    match node:
        case ast.Service(services=services) | ast.Protect(services=services) if services:
            yield services
        case ast.Policy(rules=lines) | ast.Test(expectations=lines):
            yield from (line.flow.services for line in lines if line.flow.services)
        case _:
            pass


def _lists(node: ast.Addresses) -> Iterator[ast.ListFile]:
    match node:
        case ast.ListFile():
            yield node
        case ast.Complement(operand=operand):
            yield from _lists(operand)
        case ast.Operation(operands=operands):
            for operand in operands:
                yield from _lists(operand)
        case _:
            pass
