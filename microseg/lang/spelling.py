"""Nodes back to text, on one line each, with the parentheses they need and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from microseg.lang import ast
from microseg.lang.ast import Operator

if TYPE_CHECKING:
    from collections.abc import Iterator

# How tightly each kind of set holds together; looser ones inside tighter ones need parentheses.
_TIGHTNESS = {Operator.COMMA: 0, Operator.OR: 1, Operator.MINUS: 1, Operator.AND: 2}
_COMPLEMENT = 3
_ATOM = 4

_CLAUSE_ORDER = (ast.Log, ast.Expires, ast.Remark)


def addresses(node: ast.Addresses, tightness: int = 0) -> str:
    """Return a set of addresses, in parentheses if it holds together less tightly than asked for."""
    text = _bare(node)
    return text if _tightness(node) >= tightness else f"({text})"


def operands(node: ast.Operation) -> Iterator[str]:
    """Yield the operands of an operation, with their parentheses."""
    tightness = _TIGHTNESS[node.operators[0]] + 1
    previous: ast.Addresses | None = None
    for operator, operand in zip((None, *node.operators), node.operands, strict=True):
        text = addresses(operand, tightness)
        # Between two single addresses "-" would be read as a range.
        if operator is Operator.MINUS and previous and _ends_single(previous) and _starts_single(operand):
            text = f"({_bare(operand)})"
        yield text
        # A parenthesis hides what it ends in.
        previous = None if text.endswith(")") else operand


def services(node: ast.Services) -> str:
    """Return a list of services."""
    return ", ".join(service(term) for term in node.terms)


def service(term: ast.ServiceTerm) -> str:
    """Return one service."""
    match term:
        case ast.AnyService():
            return "any"
        case ast.ServiceName(name=name):
            return name
        case ast.ProtocolService(protocol=protocol, selector=selector, source=source):
            target = f"/{_selector(selector)}" if selector else ""
            origin = f" from {_selector(source)}" if source else ""
            return f"{protocol.text}{target}{origin}"
        case _ as never:
            assert_never(never)


def flow(node: ast.Flow) -> list[str]:
    """Return source, arrow with destination, and services if there are any."""
    arrow = "<->" if node.both_ways else "->"
    parts = [addresses(node.src), f"{arrow} {addresses(node.dst)}"]
    return [*parts, f": {services(node.services)}"] if node.services else parts


def clauses(nodes: tuple[ast.Clause, ...]) -> str:
    """Return the clauses of a rule in their usual order."""
    return " ".join(clause(node) for kind in _CLAUSE_ORDER for node in nodes if isinstance(node, kind))


def clause(node: ast.Clause) -> str:
    """Return one clause of a rule."""
    match node:
        case ast.Log():
            return "log"
        case ast.Expires(date=date):
            return f"expires {date.text}"
        case ast.Remark(text=text):
            return text.text
        case _ as never:
            assert_never(never)


def _bare(node: ast.Addresses) -> str:
    match node:
        case ast.GroupName(name=text) | ast.Address(text=text):
            return text
        case ast.AddressRange(first=first, last=last):
            return f"{first.text} - {last.text}"
        case ast.Anything(which=which):
            return which.value
        case ast.ListFile(path=path):
            return f"file({path.text})"
        case ast.Complement(operand=operand):
            return f"!{addresses(operand, _COMPLEMENT)}"
        case ast.Operation():
            return _joined(node)
        case _ as never:
            assert_never(never)


def _joined(node: ast.Operation) -> str:
    first, *others = operands(node)
    signs = (", " if each is Operator.COMMA else f" {each.value} " for each in node.operators)
    return first + "".join(f"{sign}{text}" for sign, text in zip(signs, others, strict=True))


def _tightness(node: ast.Addresses) -> int:
    if isinstance(node, ast.Operation):
        return _TIGHTNESS[node.operators[0]]
    return _COMPLEMENT if isinstance(node, ast.Complement) else _ATOM


def _ends_single(node: ast.Addresses) -> bool:
    """Say whether the last word is an address that a range could start with."""
    match node:
        case ast.Address(text=text):
            return "/" not in text
        case ast.Complement(operand=operand):
            return _tightness(operand) >= _COMPLEMENT and _ends_single(operand)
        case ast.Operation(operands=(*_, last)):
            return _tightness(last) > _tightness(node) and _ends_single(last)
        case _:
            return False


def _starts_single(node: ast.Addresses) -> bool:
    """Say whether the first word is an address that a range could end with."""
    match node:
        case ast.Address(text=text):
            return "/" not in text
        case ast.AddressRange():
            return True
        case ast.Operation(operands=(first, *_)):
            return _tightness(first) > _tightness(node) and _starts_single(first)
        case _:
            return False


def _selector(node: ast.Ports | ast.IcmpType) -> str:
    if isinstance(node, ast.Ports):
        return f"{node.first.text}-{node.last.text}" if node.is_range else node.first.text
    return f"{node.type.text}/{node.code.text}" if node.code else node.type.text
