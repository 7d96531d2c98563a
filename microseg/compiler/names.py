"""Names of groups and services: who defines them, and in which order they can be worked out."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from microseg.diagnostics import Code, Diagnostic, Label
from microseg.lang import ast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from microseg.source import Span


Node = TypeVar("Node", ast.Group, ast.Service)


@dataclass(frozen=True, slots=True)
class Wording(Generic[Node]):
    """What differs between the names of groups and those of services."""

    word: str
    duplicate: Code
    unknown: Code
    cycle: Code
    needs: Callable[[Node], Iterator[tuple[str, Span]]]
    """The names a definition refers to, with their places."""


@dataclass
class Names(Generic[Node]):
    """The definitions of one kind.

    Attributes:
        wording: of the kind.
        nodes: the first definition of each name.
        lost: names that a statement with a syntax error would have defined.
        any_lost: a name may be missing without being known, so unknown names are not reported.
        used: names somebody refers to.

    """

    wording: Wording[Node]
    nodes: dict[str, Node] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    any_lost: bool = False
    used: set[str] = field(default_factory=set)

    def define(self, node: Node, found: list[Diagnostic]) -> None:
        """Add a definition; the second one of a name is reported and left out."""
        name = node.name.text
        first = self.nodes.setdefault(name, node)
        if first is not node:
            found.append(
                Diagnostic.of(
                    self.wording.duplicate,
                    node.name.span,
                    f"{self.wording.word} `{name}` is defined twice",
                    Label(first.name.span, "it was defined here"),
                    help="give one of them another name, or join them: names are global to the directory",
                )
            )

    def lose(self, name: str | None) -> None:
        """Note that a definition was lost to a syntax error; None when even its name is unknown."""
        if name is None:
            self.any_lost = True
        else:
            self.lost.add(name)

    def refer(self, name: str, span: Span, found: list[Diagnostic], *, hint: str = "") -> bool:
        """Note a use of a name and say whether it is defined; an unknown one is reported."""
        self.used.add(name)
        if name in self.nodes:
            return True
        if name not in self.lost and not self.any_lost:
            word = self.wording.word
            advice = hint or self._advice(name)
            found.append(
                Diagnostic.of(self.wording.unknown, span, f"{word} `{name}` is not defined", help=advice)
            )
        return False

    def _advice(self, name: str) -> str:
        parts = name.split("-")
        if len(parts) > 1 and all(part in self.nodes for part in parts):
            return f"a difference has blanks around its sign: `{' - '.join(parts)}`"
        close = difflib.get_close_matches(name, self.nodes, n=1)
        return f"did you mean `{close[0]}`?" if close else f"define it: `{self.wording.word} {name} = ...`"

    def in_order(self, found: list[Diagnostic]) -> list[str]:
        """Return the names so that each stands behind those it needs; cycles are reported and left out."""
        order: list[str] = []
        state: dict[str, bool] = {}
        for root in self.nodes:
            if root not in state:
                self._visit(root, state, order, found)
        return order

    def _visit(self, root: str, state: dict[str, bool], order: list[str], found: list[Diagnostic]) -> None:
        """Walk depth first without recursion; state is False while a name is being walked, then True."""
        cyclic: set[str] = set()
        state[root] = False
        path = [(root, self._needs(root))]
        while path:
            name, needs = path[-1]
            step = next(needs, None)
            if step is None:
                path.pop()
                state[name] = True
                if name not in cyclic:
                    order.append(name)
                continue
            needed, span = step
            if needed not in self.nodes:
                continue
            if needed not in state:
                state[needed] = False
                path.append((needed, self._needs(needed)))
            elif not state[needed]:
                names = [each for each, _ in path]
                circle = names[names.index(needed) :]
                cyclic.update(circle)
                found.append(self._cycle(circle, span))

    def _needs(self, name: str) -> Iterator[tuple[str, Span]]:
        return self.wording.needs(self.nodes[name])

    def _cycle(self, circle: list[str], closing: Span) -> Diagnostic:
        first = circle[0]
        chain = " -> ".join(f"`{name}`" for name in (*circle, first))
        return Diagnostic.of(
            self.wording.cycle,
            self.nodes[first].name.span,
            f"{self.wording.word} `{first}` is defined by itself: {chain}",
            Label(closing, "the circle closes here"),
            help="take one of these names out of a definition",
        )


def _group_needs(group: ast.Group) -> Iterator[tuple[str, Span]]:
    return group_names(group.addresses)


def group_names(addresses: ast.Addresses) -> Iterator[tuple[str, Span]]:
    """Yield the groups an expression names."""
    match addresses:
        case ast.GroupName(name, span):
            yield name, span
        case ast.Complement(operand=operand):
            yield from group_names(operand)
        case ast.Operation(operands=operands):
            for operand in operands:
                yield from group_names(operand)
        case _:
            pass


def _service_needs(service: ast.Service) -> Iterator[tuple[str, Span]]:
    for term in service.services.terms:
        if isinstance(term, ast.ServiceName):
            yield term.name, term.span


GROUPS = Wording("group", Code.DUPLICATE_GROUP, Code.UNKNOWN_GROUP, Code.GROUP_CYCLE, _group_needs)
SERVICES = Wording(
    "service", Code.DUPLICATE_SERVICE, Code.UNKNOWN_SERVICE, Code.SERVICE_CYCLE, _service_needs
)


def lost_names(
    broken: Iterable[ast.Broken], kinds: Mapping[ast.Kind, Names[ast.Group] | Names[ast.Service]]
) -> None:
    """Tell the names of each kind what was lost to syntax errors."""
    for statement in broken:
        for kind, names in kinds.items():
            if statement.kind is None:
                names.lose(None)
            elif statement.kind is kind:
                names.lose(statement.name.text if statement.name else None)
