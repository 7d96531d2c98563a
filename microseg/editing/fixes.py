"""What can be mended without asking, because no packet's verdict changes.

Groups and services nothing uses, a second definition that says the same as the first, a rule that stands
twice, word for word, a rule that later ones make redundant, and an entry of an address list that says nothing
new. What has an ignore comment of its own is left to its author, and so is a rule that never matches: it may
stand in the wrong place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.diagnostics import Code, Diagnostic
from microseg.editing.edits import Edit, removal
from microseg.lang import ast, ignores, spelling

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from microseg.source import Span

FIXABLE = frozenset(
    {
        Code.UNUSED_GROUP,
        Code.UNUSED_SERVICE,
        Code.DUPLICATE_GROUP,
        Code.DUPLICATE_SERVICE,
        Code.DUPLICATE_RULE,
        Code.REDUNDANT_RULE,
        Code.REPEATED_ENTRY,
    }
)


@dataclass(frozen=True, slots=True)
class Fix:
    """A diagnostic and the edit that makes it go away."""

    diagnostic: Diagnostic
    edit: Edit


def fixes(
    diagnostics: Iterable[Diagnostic], files: Sequence[ast.File], texts: Mapping[str, str]
) -> list[Fix]:
    """Return the safe fixes, at most one for each diagnostic.

    Args:
        diagnostics: of the whole directory.
        files: its syntax trees; those with a syntax error are left alone.
        texts: their text, and that of the address lists something was found in.

    """
    policies = {file.path for file in files}
    whole = {file.path: file for file in files if not file.broken}
    places = {place: node for file in whole.values() for place, node in _nodes(file)}
    found: list[Fix] = []
    for diagnostic in diagnostics:
        path = diagnostic.span.path
        if diagnostic.code is Code.REPEATED_ENTRY and path not in policies:
            found.append(Fix(diagnostic, removal(texts[path], diagnostic.span, ())))
            continue
        node = places.get(diagnostic.span)
        if diagnostic.code not in FIXABLE or node is None or not _is_safe(diagnostic, node, places):
            continue
        if not _has_ignore(whole[path], node.span):
            found.append(Fix(diagnostic, removal(texts[path], node.span, whole[path].comments)))
    return found


_Node = ast.Group | ast.Service | ast.Rule


def _nodes(file: ast.File) -> Iterator[tuple[Span, _Node]]:
    """Yield what can be taken out, with the place its diagnostics have."""
    for statement in file.statements:
        match statement:
            case ast.Group(name=name) | ast.Service(name=name):
                yield name.span, statement
            case ast.Policy(rules=rules):
                yield from ((rule.span, rule) for rule in rules)
            case _:
                pass


def _is_safe(diagnostic: Diagnostic, node: _Node, places: Mapping[Span, _Node]) -> bool:
    if diagnostic.code in (Code.UNUSED_GROUP, Code.UNUSED_SERVICE, Code.REDUNDANT_RULE):
        return True
    earlier = places.get(diagnostic.labels[0].span) if diagnostic.labels else None
    return earlier is not None and _said(earlier) == _said(node)


def _said(node: _Node) -> tuple[str, ...]:
    """Return what a node says, without its layout."""
    match node:
        case ast.Group(name=name, addresses=addresses):
            return "group", name.text, spelling.addresses(addresses)
        case ast.Service(name=name, services=services):
            return "service", name.text, spelling.services(services)
        case ast.Rule(action, flow, clauses):
            return action.value, *spelling.flow(flow), spelling.clauses(clauses)


def _has_ignore(file: ast.File, span: Span) -> bool:
    lines = range(span.line, span.end_line + 1)
    return any(ignore.line in lines for ignore in ignores.of_file(file)[0])
