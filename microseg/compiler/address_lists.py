"""Lists of addresses in files of their own: text to sets, with what is wrong about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.compiler.address_values import Block, ValueProblem, parse_block, parse_range
from microseg.diagnostics import Code, Diagnostic, Label
from microseg.policy import ranges
from microseg.policy.addresses import AddressSet, Family
from microseg.source import SourceError, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microseg.lang import ast
    from microseg.source import SourceTree

SHOWN = 20
"""Lines of one list with the same fault that are reported one by one."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What stands on a line of a list."""

    text: str
    line: int
    column: int

    def span(self, path: str) -> Span:
        return Span(path, self.line, self.column, self.line, self.column + len(self.text))


def of_list(
    node: ast.ListFile, tree: SourceTree, sources: dict[str, str], found: list[Diagnostic]
) -> AddressSet | None:
    """Return the set of an address list; None, with the reasons in found, if a line of it is wrong."""
    path = node.path.unquoted
    try:
        text = tree.read(path).decode("utf-8-sig")
    except (SourceError, UnicodeDecodeError) as error:
        found.append(_unreadable(node, error))
        return None
    families: dict[Family, list[tuple[Block, _Entry]]] = {family: [] for family in Family}
    bad: list[Diagnostic] = []
    for entry in _entries(text):
        try:
            block = _parse(entry.text)
        except ValueProblem as problem:
            bad.append(problem.at(entry.span(path), Code.LIST_LINE))
        else:
            families[block.family].append((block, entry))
    sets = {
        family: ranges.normalize((block.low, block.high) for block, _ in entries)
        for family, entries in families.items()
    }
    repeated = [
        each
        for family, entries in families.items()
        if sum(block.high - block.low + 1 for block, _ in entries) > ranges.size(sets[family])
        for each in _repeated(entries, path)
    ]
    if bad or repeated:
        sources[path] = text
    found += _shown(bad, node, "are not addresses", "one address, CIDR or range a line; # starts a comment")
    found += _shown(sorted(repeated, key=lambda each: each.span), node, "say nothing new", "delete them")
    return None if bad else AddressSet(sets[Family.IPV4], sets[Family.IPV6])


def _entries(text: str) -> Iterator[_Entry]:
    for number, line in enumerate(text.split("\n"), start=1):
        entry = line.partition("#")[0].strip()
        if entry:
            yield _Entry(entry, number, line.index(entry) + 1)


def _parse(entry: str) -> Block:
    first, dash, last = entry.partition("-")
    return parse_range(first.strip(), last.strip()) if dash else parse_block(entry)


def _repeated(entries: Sequence[tuple[Block, _Entry]], path: str) -> Iterator[Diagnostic]:
    """Yield a note on each entry whose addresses another one has: a wider one, or the first of the same."""
    around: tuple[Block, _Entry] | None = None
    for block, entry in sorted(entries, key=lambda each: (each[0].low, -each[0].high, each[1].line)):
        if around is None or block.high > around[0].high:
            around = block, entry
            continue
        same = block == around[0]
        yield Diagnostic.of(
            Code.REPEATED_ENTRY,
            entry.span(path),
            f"`{entry.text}` stands here twice" if same else f"`{entry.text}` is in another entry already",
            Label(around[1].span(path), "here for the first time" if same else "this one has all of it"),
            help="delete the line",
        )


def _unreadable(node: ast.ListFile, error: SourceError | UnicodeDecodeError) -> Diagnostic:
    reason = error.reason if isinstance(error, SourceError) else "not UTF-8 text"
    return Diagnostic.of(
        Code.LIST_FILE,
        node.path.span,
        f"the address list `{node.path.unquoted}` can't be read: {reason}",
        help="give the path of a file inside the policy directory, relative to that directory",
    )


def _shown(found: list[Diagnostic], node: ast.ListFile, what: str, advice: str) -> list[Diagnostic]:
    """Return the first of what is wrong with lines of a list, and the number of the others."""
    if len(found) <= SHOWN:
        return found
    rest = Diagnostic.of(
        found[0].code,
        node.span,
        f"{len(found) - SHOWN} more lines of `{node.path.unquoted}` {what}",
        Label(found[SHOWN].span, "the next one"),
        help=advice,
    )
    return [*found[:SHOWN], rest]
