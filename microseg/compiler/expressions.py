"""Expressions: what a set of addresses or of services stands for, and its canonical name."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import groupby
from operator import and_
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar, assert_never, cast

from microseg.compiler import address_lists, address_values, canonical, service_values
from microseg.compiler.memory import Memory
from microseg.compiler.names import GROUPS, SERVICES, Names
from microseg.compiler.references import references_of
from microseg.lang import ast
from microseg.memo import is_same
from microseg.policy import addresses as address_sets
from microseg.policy.addresses import ANY_ADDRESS, ANY_IPV4, ANY_IPV6, AddressSet
from microseg.policy.rules import ANY_NAMED_SERVICE, NamedService, NamedSet
from microseg.policy.services import ANY_SERVICE, ServiceSet, union
from microseg.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from microseg.compiler.references import Named, References
    from microseg.diagnostics import Diagnostic
    from microseg.memo import Memo
    from microseg.source import SourceTree

Value = TypeVar("Value")

Definitions: TypeAlias = tuple[ast.Group | ast.Service, ...]


class Statement(NamedTuple):
    """What a statement stood for, what it names, and what that stood for; and what all names stood for."""

    references: References
    values: tuple[object, ...]
    meaning: object
    meanings: Meanings | None


class Meanings(NamedTuple):
    """What all names stand for; nothing is wrong with any.

    Attributes:
        nodes: the definitions, groups first.
        lists: the address lists that these name, with what each stands for.
        sets: what each group stands for.
        services: what each service stands for.
        references: what each definition names.

    """

    nodes: Definitions
    lists: tuple[tuple[ast.ListFile, AddressSet | None], ...]
    sets: dict[str, AddressSet]
    services: dict[str, ServiceSet]
    references: tuple[References, ...]


_ANY = {
    ast.AnyAddress.BOTH: ANY_ADDRESS,
    ast.AnyAddress.IPV4: ANY_IPV4,
    ast.AnyAddress.IPV6: ANY_IPV6,
}


@dataclass
class Scope:
    """All names of a policy directory and what they stand for.

    Attributes:
        tree: where address lists are read from.
        found: what was wrong so far.
        sources: text of the address lists that have errors, by path.
        groups: definitions of groups.
        services: definitions of services.
        sets: what each group stands for; a group with an error is missing.
        service_sets: the same for services.

    """

    tree: SourceTree
    found: list[Diagnostic] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    groups: Names[ast.Group] = field(default_factory=lambda: Names(GROUPS))
    services: Names[ast.Service] = field(default_factory=lambda: Names(SERVICES))
    sets: dict[str, AddressSet] = field(default_factory=dict)
    service_sets: dict[str, ServiceSet] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    _lists: dict[str, AddressSet | None] = field(default_factory=dict)
    _referred: list[References] = field(default_factory=list)

    def work_out(self) -> None:
        """Work out every definition; one that stands for the same as before is the same object."""
        nodes: Definitions = (*self.groups.nodes.values(), *self.services.nodes.values())
        last = self.memory.meanings
        if last and self._are_as_before(nodes, last):
            self.sets, self.service_sets = last.sets, last.services
            self._referred += last.references
            return
        self.memory.meanings = None
        self.memory.definitions.age()
        before = len(self.found)
        self._work_out_each()
        self.memory.sets, self.memory.services = self.sets, self.service_sets
        if len(self.found) == before and len(self.sets) + len(self.service_sets) == len(nodes):
            lists = dict.fromkeys(each for found in self._referred for each in found.lists)
            of_lists = tuple((each, self._list(each)) for each in lists)
            references = tuple(self._referred)
            self.memory.meanings = Meanings(nodes, of_lists, self.sets, self.service_sets, references)

    def _are_as_before(self, nodes: Definitions, last: Meanings) -> bool:
        return is_same(nodes, last.nodes) and all(self._list(node) is value for node, value in last.lists)

    def _work_out_each(self) -> None:
        known = self.memory.definitions
        for name in self.groups.in_order(self.found):
            node = self.groups.nodes[name]
            addresses = self.recall(node, partial(self.addresses, node.addresses), known)
            if addresses is not None:
                self.sets[name] = _as_before(addresses, self.memory.sets.get(name))
        for name in self.services.in_order(self.found):
            service = self.services.nodes[name]
            services = self.recall(service, partial(self.service, service.services), known)
            if services is not None:
                self.service_sets[name] = _as_before(services, self.memory.services.get(name))

    def recall(self, node: ast.Statement, make: Callable[[], Value], known: Memo[Statement]) -> Value:
        """Return what a statement stands for: as before if it and all that it names are the same.

        Only of what nothing is said about: what is wrong is found anew, and what depends on it.

        Args:
            node: the statement.
            make: finds out what it stands for.
            known: what statements of its kind stood for.

        """
        last, meanings = known.find((node,)), self.memory.meanings
        references = last.references if last else references_of(node)
        self._referred.append(references)
        if last and meanings and last.meanings is meanings and not references.lists:
            return cast("Value", last.meaning)
        values = self._values(references)
        if last and is_same(values, last.values):
            known.keep(last._replace(meanings=meanings), (node,))
            return cast("Value", last.meaning)
        before = len(self.found)
        meaning = make()
        if len(self.found) == before and meaning is not None and all(value is not None for value in values):
            known.keep(Statement(references, values, meaning, meanings), (node,))
        return meaning

    def note_uses(self) -> None:
        """Tell the names who is named by what was recalled."""
        groups, services = self.memory.named.of(partial(_named, self._referred), self._referred)
        self.groups.used |= groups
        self.services.used |= services

    def _values(self, references: References) -> tuple[object, ...]:
        """Return what names stand for, None for those that stand for nothing."""
        groups, services, lists = references
        return (
            *map(self.sets.get, groups),
            *map(self.service_sets.get, services),
            *map(self._list, lists),
        )

    def named_set(self, node: ast.Addresses) -> NamedSet | None:
        """Return an expression of a rule; None if something in it is wrong, which found then says."""
        addresses = self.addresses(node)
        return None if addresses is None else NamedSet(canonical.addresses(node), addresses)

    def named_service(self, node: ast.Services | None) -> NamedService | None:
        """Return the services of a rule; None if something is wrong. No services are every service."""
        if node is None:
            return ANY_NAMED_SERVICE
        services = self.service(node)
        return None if services is None else NamedService(self._service_name(node), services)

    def addresses(self, node: ast.Addresses) -> AddressSet | None:
        """Return what an expression stands for; None if something in it is wrong."""
        match node:
            case ast.GroupName(name, span):
                hint = "that is a service" if name in self.services.nodes else ""
                defined = self.groups.refer(name, span, self.found, hint=hint)
                return self.sets.get(name) if defined else None
            case ast.Address():
                return address_values.of_address(node, self.found)
            case ast.AddressRange():
                return address_values.of_range(node, self.found)
            case ast.Anything(which=which):
                return _ANY[which]
            case ast.ListFile():
                return self._list(node)
            case ast.Complement(operand=operand):
                inner = self.addresses(operand)
                return None if inner is None else ~inner
            case ast.Operation():
                return self._operation(node)
            case _ as never:
                assert_never(never)

    def _list(self, node: ast.ListFile) -> AddressSet | None:
        path = node.path.unquoted
        if path not in self._lists:
            self._lists[path] = self._read_list(path, node)
        return self._lists[path]

    def _read_list(self, path: str, node: ast.ListFile) -> AddressSet | None:
        """Return what a list's file stands for, as before if its content is the same."""
        try:
            content = self.tree.read(path)
        except SourceError:
            return address_lists.of_list(node, self.tree, self.sources, self.found)
        known = self.memory.lists.find((), (path, content))
        if known is not None:
            return known
        before = len(self.found)
        value = address_lists.of_list(node, self.tree, self.sources, self.found)
        if value is not None and len(self.found) == before:
            self.memory.lists.keep(value, (), (path, content))
        return value

    def _operation(self, node: ast.Operation) -> AddressSet | None:
        parts = [self.addresses(operand) for operand in node.operands]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        result, others = known[0], iter(known[1:])
        # What is done several times in a row is done at once: long lists are written one by one.
        for operator, signs in groupby(node.operators):
            run = [part for _, part in zip(signs, others, strict=False)]
            match operator:
                case ast.Operator.COMMA | ast.Operator.OR:
                    result = address_sets.union([result, *run])
                case ast.Operator.AND:
                    result = reduce(and_, run, result)
                case ast.Operator.MINUS:
                    result -= address_sets.union(run)
                case _ as never:
                    assert_never(never)
        return result

    def service(self, node: ast.Services) -> ServiceSet | None:
        """Return what a list of services stands for; None if something in it is wrong."""
        parts = [self._term(term) for term in node.terms]
        known = [part for part in parts if part is not None]
        return union(known) if len(known) == len(parts) else None

    def _term(self, term: ast.ServiceTerm) -> ServiceSet | None:
        match term:
            case ast.AnyService():
                return ANY_SERVICE
            case ast.ServiceName(name, _) if name in service_values.PROTOCOLS:
                return ServiceSet.of(service_values.PROTOCOLS[name])
            case ast.ServiceName(name, span):
                hint = "that is a group" if name in self.groups.nodes else ""
                defined = self.services.refer(name, span, self.found, hint=hint)
                return self.service_sets.get(name) if defined else None
            case ast.ProtocolService():
                return service_values.of_protocol(term, self.found)
            case _ as never:
                assert_never(never)

    def _service_name(self, node: ast.Services) -> str:
        return canonical.union([self._term_name(term) for term in node.terms])

    def _term_name(self, term: ast.ServiceTerm) -> str:
        match term:
            case ast.AnyService():
                return "any"
            case ast.ServiceName(name=name):
                return name
            case ast.ProtocolService():
                services = service_values.of_protocol(term, [])
                assert services, "a rule with a wrong service is left out"
                return canonical.protocol(services)
            case _ as never:
                assert_never(never)


def _named(referred: Sequence[References], last: Named | None) -> Named:
    """Return the groups and the services that statements name."""
    del last
    groups, services, _ = zip(*referred, strict=True) if referred else ((), (), ())
    return frozenset().union(*groups), frozenset().union(*services)


def _as_before(found: Value, before: Value | None) -> Value:
    """Return the object that there was before if it says the same."""
    return before if before is not None and (before is found or before == found) else found
