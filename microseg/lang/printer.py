"""The canonical form of a policy file: what `microseg fmt` writes.

One statement, rule or expectation a line, blocks indented by two; a list that is too long, or has comments
inside, gets a line for each member. Words, order and meaning stay as they are. Comments stay beside what they
stand beside, and above what they stand above; one in the middle of something goes above it. Where there are
empty lines, one is kept.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, assert_never

from microseg.lang import ast, spelling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microseg.source import Span

WIDTH = 100
"""Columns of a line; what has no place to break may be longer."""
_INDENT = "  "

Position: TypeAlias = tuple[int, int]
"""Line and column in the source."""


@dataclass
class _Unit:
    """What is printed on lines of its own, with the comments that go with it.

    Attributes:
        start: where it begins in the source.
        end: where it ends there.
        depth: how deep it is indented.
        lines: its text, without the indent.
        opens: the next units belong to it, no empty line between.
        closes: it ends what an earlier one opened.
        apart: an empty line stands in front of it, always.

    """

    start: Position
    end: Position
    depth: int
    lines: list[str]
    opens: bool = False
    closes: bool = False
    apart: bool = False
    above: list[ast.Comment] = field(default_factory=list)
    beside: list[ast.Comment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Row:
    """Lines to print, and the first and last line of the source they come from."""

    lines: list[str]
    first: int
    last: int
    apart: bool = False
    opens: bool = False
    closes: bool = False


def print_file(file: ast.File) -> str:
    """Return the canonical text of a file without syntax errors. Printing that again changes nothing."""
    assert not file.broken, "what was left out can't be printed"
    out: list[str] = []
    previous: _Row | None = None
    for row in _rows(file):
        if (
            previous
            and not previous.opens
            and (row.apart or (row.first - previous.last > 1 and not row.closes))
        ):
            out.append("")
        out += row.lines
        previous = row
    return "".join(f"{line}\n" for line in out)


def _rows(file: ast.File) -> Iterator[_Row]:
    units = list(_file_units(file))
    units += [_unit(comment.span, 0, comment.text) for comment in _attach(units, file.comments)]
    for unit in units:
        indent = _INDENT * unit.depth
        apart = unit.apart
        for comment in unit.above:
            line = min(comment.span.line, unit.start[0])
            depth = unit.depth + unit.closes
            yield _Row([_INDENT * depth + comment.text], line, line, apart)
            apart = False
        lines = [indent + line for line in unit.lines]
        if unit.beside:
            lines[-1] += f"  {unit.beside[-1].text}"
        yield _Row(lines, unit.start[0], unit.end[0], apart, unit.opens, unit.closes)


def _attach(units: Sequence[_Unit], comments: Sequence[ast.Comment]) -> list[ast.Comment]:
    """Give each comment to the unit it belongs to; return those behind the last one."""
    starts = [unit.start for unit in units]
    left_over: list[ast.Comment] = []
    for comment in comments:
        place = (comment.span.line, comment.span.column)
        before = bisect_right(starts, place) - 1
        if before >= 0 and place < units[before].end:
            units[before].above.append(comment)
        elif not comment.own_line:
            unit = units[before]
            unit.above += unit.beside  # two comments beside one unit: it was written on several lines
            unit.beside[:] = [comment]
        elif before + 1 < len(units):
            units[before + 1].above.append(comment)
        else:
            left_over.append(comment)
    return left_over


# What is printed on lines of its own.


def _file_units(file: ast.File) -> Iterator[_Unit]:
    comments = [(comment.span.line, comment.span.column) for comment in file.comments]
    previous: ast.Statement | None = None
    for statement in file.statements:
        first, *others = _statement_units(statement, comments)
        first.apart = previous is not None and (_is_block(previous) or _is_block(statement))
        yield first
        yield from others
        previous = statement


def _is_block(statement: ast.Statement) -> bool:
    return isinstance(statement, ast.Policy | ast.Test)


def _statement_units(statement: ast.Statement, comments: Sequence[Position]) -> Iterator[_Unit]:
    match statement:
        case ast.Group(addresses=addresses):
            yield from _definition(statement, spelling.addresses(addresses), _members(addresses), comments)
        case ast.Service(services=services):
            members = [(f"{spelling.service(term)},", term.span) for term in services.terms]
            yield from _definition(statement, spelling.services(services), members, comments)
        case ast.Policy():
            yield from _policy(statement)
        case ast.Test():
            yield from _test(statement)
        case ast.Default(action, log, span):
            yield _unit(span, 0, f"default {action.value}{' log' if log else ''}")
        case ast.Protect(name, src, services, span):
            parts = [f": {spelling.services(services)}"] if services else []
            yield _folded(span, 0, [f"protect {name.text} from {spelling.addresses(src)}", *parts])
        case _ as never:
            assert_never(never)


def _definition(
    node: ast.Group | ast.Service, text: str, members: list[tuple[str, Span]], comments: Sequence[Position]
) -> Iterator[_Unit]:
    """Yield a group or service: on one line, or with a line for each member."""
    (start, end), name_end = _ends(node.span), _ends(node.name.span)[1]
    has_comments = any(name_end <= comment < end for comment in comments)
    head = f"{'group' if isinstance(node, ast.Group) else 'service'} {node.name.text} ="
    if len(members) < 2 or (len(head) + 1 + len(text) <= WIDTH and not has_comments):
        yield _unit(node.span, 0, f"{head} {text}")
        return
    yield _Unit(start, name_end, 0, [head], opens=True)
    for member, place in members:
        yield _unit(place, 1, member)


def _members(addresses: ast.Addresses) -> list[tuple[str, Span]]:
    """Return the text of each line of a set that doesn't fit on one, with its place."""
    if not isinstance(addresses, ast.Operation):
        return []
    texts = list(spelling.operands(addresses))
    if ast.Operator.COMMA in addresses.operators:
        lines = [f"{text}," for text in texts]
    else:
        signs = [f"{operator.value} " for operator in addresses.operators]
        lines = [sign + text for sign, text in zip(["", *signs], texts, strict=True)]
    return list(zip(lines, (operand.span for operand in addresses.operands), strict=True))


def _policy(policy: ast.Policy) -> Iterator[_Unit]:
    in_head = [option for option in policy.options if option.name is not ast.OptionName.OWNER]
    words = [f"{option.name.value} {option.value.text}" for option in in_head]
    last = in_head[-1].span if in_head else policy.name.span
    yield _head(" ".join(["policy", policy.name.text, *words, "{"]), policy.span, last)
    owners = [option for option in policy.options if option not in in_head]
    items: list[ast.Option | ast.Rule] = [*owners, *policy.rules]
    for item in sorted(items, key=lambda item: item.span):
        match item:
            case ast.Option(value=value):
                yield _unit(item.span, 1, f"owner {value.text}")
            case ast.Rule(action, flow, clauses):
                parts = spelling.flow(flow)
                extra = [spelling.clauses(clauses)] if clauses else []
                yield _folded(item.span, 1, [f"{action.value} {parts[0]}", *parts[1:], *extra])
            case _ as never:
                assert_never(never)
    yield _closer(policy.span)


def _test(test: ast.Test) -> Iterator[_Unit]:
    yield _head(f"test {test.name.text} {{", test.span, test.name.span)
    for expectation in test.expectations:
        some = "some " if expectation.some else ""
        parts = spelling.flow(expectation.flow)
        first = f"expect {some}{expectation.action.value} {parts[0]}"
        yield _folded(expectation.span, 1, [first, *parts[1:]])
    yield _closer(test.span)


def _head(text: str, whole: Span, last: Span) -> _Unit:
    return _Unit(_ends(whole)[0], _ends(last)[1], 0, [text], opens=True)


def _closer(whole: Span) -> _Unit:
    end = _ends(whole)[1]
    return _Unit((end[0], end[1] - 1), end, 0, ["}"], closes=True)


def _unit(span: Span, depth: int, text: str) -> _Unit:
    return _Unit(*_ends(span), depth, [text])


def _folded(span: Span, depth: int, parts: list[str]) -> _Unit:
    """Return a unit on one line, or its parts below each other if that is too long."""
    line = " ".join(parts)
    if len(line) + len(_INDENT) * depth <= WIDTH:
        return _unit(span, depth, line)
    return _Unit(*_ends(span), depth, [parts[0], *(_INDENT + part for part in parts[1:])])


def _ends(span: Span) -> tuple[Position, Position]:
    return (span.line, span.column), (span.end_line, span.end_column)
