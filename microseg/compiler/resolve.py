"""Resolving: syntax trees become a ruleset. Everything wrong is collected; what depends on it is left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from microseg.compiler import service_values
from microseg.compiler.expressions import Scope
from microseg.compiler.memory import Defined, Kinds, Memory
from microseg.compiler.names import lost_names
from microseg.diagnostics import Code, Diagnostic, Label
from microseg.lang import ast
from microseg.memo import is_same
from microseg.policy.rules import (
    DEFAULT_PRIORITY,
    Default,
    Expectation,
    Mode,
    Policy,
    PolicyTest,
    Protect,
    Rule,
    Ruleset,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from microseg.source import SourceTree

HIGHEST_PRIORITY = 65_535

_Node = TypeVar("_Node", bound=ast.Statement)
_Named = TypeVar("_Named", ast.Policy, ast.Protect, ast.Test)
_Key = TypeVar("_Key")
_Clause = TypeVar("_Clause", ast.Option, ast.Clause)

_CLAUSE_WORDS = {ast.Log: "`log`", ast.Expires: "`expires`", ast.Remark: "the comment"}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the trees mean.

    Attributes:
        ruleset: all that could be resolved; whole only if no diagnostic is an error.
        scope: the names and what they stand for.
        diagnostics: everything wrong with names and values.

    """

    ruleset: Ruleset
    scope: Scope
    diagnostics: list[Diagnostic]


def resolve(files: Sequence[ast.File], tree: SourceTree, memory: Memory | None = None) -> Resolution:
    """Return what the files of a policy directory mean; address lists are read from the tree.

    A statement that is the same object as before, and names the same, stands for the same objects.
    """
    memory = memory or Memory()
    scope = Scope(tree, memory=memory)
    kinds = memory.kinds.of(files, _kinds_of)
    _define(files, kinds, scope)
    scope.work_out()
    found, known = scope.found, memory.statements
    every_policy = (node for each in kinds for node in each.policies)
    policies = _unique(every_policy, Code.DUPLICATE_POLICY, "policy", found)
    every_protect = (node for each in kinds for node in each.protects)
    protects = _unique(every_protect, Code.DUPLICATE_PROTECT, "protect", found)
    tests = _unique((node for each in kinds for node in each.tests), Code.DUPLICATE_TEST, "test", found)
    ruleset = Ruleset(
        policies=tuple(scope.recall(node, partial(_policy, node, scope), known) for node in policies),
        default=_default([node for each in kinds for node in each.defaults], found),
        protects=tuple(
            each for node in protects for each in scope.recall(node, partial(_protect, node, scope), known)
        ),
        tests=tuple(scope.recall(node, partial(_test, node, scope), known) for node in tests),
    )
    scope.note_uses()
    return Resolution(ruleset, scope, found)


def _kinds_of(file: ast.File) -> Kinds:
    statements = file.statements
    return Kinds(
        tuple(_only(statements, ast.Group)),
        tuple(_only(statements, ast.Service)),
        tuple(_only(statements, ast.Policy)),
        tuple(_only(statements, ast.Protect)),
        tuple(_only(statements, ast.Test)),
        tuple(_only(statements, ast.Default)),
    )


def _define(files: Iterable[ast.File], kinds: Sequence[Kinds], scope: Scope) -> None:
    """Give the names to the groups and services; as before if they are the same and nothing was wrong."""
    groups = [node for each in kinds for node in each.groups]
    services = [node for each in kinds for node in each.services]
    last = scope.memory.defined
    if last and is_same(last.groups, groups) and is_same(last.services, services):
        scope.groups.nodes, scope.services.nodes = last.group_names, last.service_names
    else:
        for group in groups:
            scope.groups.define(group, scope.found)
        for service in services:
            if _may_be_named(service, scope.found):
                scope.services.define(service, scope.found)
        defined = Defined(groups, services, scope.groups.nodes, scope.services.nodes)
        scope.memory.defined = None if scope.found else defined
    for file in files:
        if file.broken:
            lost_names(file.broken, {ast.Kind.GROUP: scope.groups, ast.Kind.SERVICE: scope.services})


def _may_be_named(service: ast.Service, found: list[Diagnostic]) -> bool:
    name = service.name.text
    if name not in service_values.RESERVED:
        return True
    found.append(
        Diagnostic.of(
            Code.RESERVED_NAME,
            service.name.span,
            f"`{name}` is a protocol, a service can't have its name",
            help=f"call it for instance `my-{name}`",
        )
    )
    return False


def _only(statements: Iterable[ast.Statement], kind: type[_Node]) -> Iterator[_Node]:
    return (statement for statement in statements if isinstance(statement, kind))


def _unique(nodes: Iterable[_Named], code: Code, word: str, found: list[Diagnostic]) -> list[_Named]:
    """Return the nodes without those whose name an earlier one has, which are reported."""
    first: dict[str, _Named] = {}
    for node in nodes:
        name = node.name.unquoted
        earlier = first.setdefault(name, node)
        if earlier is not node:
            found.append(
                Diagnostic.of(
                    code,
                    node.name.span,
                    f"{word} `{name}` is defined twice",
                    Label(earlier.name.span, "it was defined here"),
                    help="give one of them another name: names are global to the directory",
                )
            )
    return list(first.values())


def _policy(node: ast.Policy, scope: Scope) -> Policy:
    options = _first_of_each(
        ((option.name, f"`{option.name.value}`", option) for option in node.options), scope.found
    )
    priority, mode, owner = (options.get(name) for name in ast.OptionName)
    rules = tuple(rule for each in node.rules if (rule := _rule(each, scope)))
    return Policy(
        name=node.name.text,
        span=node.name.span,
        rules=rules,
        priority=_priority(priority.value, scope.found) if priority else DEFAULT_PRIORITY,
        mode=Mode(mode.value.text) if mode else Mode.ENFORCE,
        owner=owner.value.unquoted if owner else "",
    )


def _priority(word: ast.Word, found: list[Diagnostic]) -> int:
    text = word.text
    if text.isascii() and text.isdigit() and len(text) <= 6 and int(text) <= HIGHEST_PRIORITY:
        return int(text)
    message = f"`{text}` is not a priority"
    advice = f"write a number from 0 to {HIGHEST_PRIORITY}; lower ones come first"
    found.append(Diagnostic.of(Code.BAD_PRIORITY, word.span, message, help=advice))
    return DEFAULT_PRIORITY


def _rule(node: ast.Rule, scope: Scope) -> Rule | None:
    clauses = _first_of_each(((type(c), _CLAUSE_WORDS[type(c)], c) for c in node.clauses), scope.found)
    expires, remark = clauses.get(ast.Expires), clauses.get(ast.Remark)
    src = scope.named_set(node.flow.src)
    dst = scope.named_set(node.flow.dst)
    service = scope.named_service(node.flow.services)
    last_day = _date(expires.date, scope.found) if isinstance(expires, ast.Expires) else None
    if src is None or dst is None or service is None:
        return None
    return Rule(
        action=node.action,
        src=src,
        dst=dst,
        service=service,
        span=node.span,
        both_ways=node.flow.both_ways,
        log=ast.Log in clauses,
        expires=last_day,
        comment=remark.text.unquoted if isinstance(remark, ast.Remark) else "",
    )


def _date(word: ast.Word, found: list[Diagnostic]) -> date | None:
    try:
        if _DATE.fullmatch(word.text):
            return date.fromisoformat(word.text)
    except ValueError:
        pass
    message = f"`{word.text}` is not a date"
    found.append(Diagnostic.of(Code.BAD_DATE, word.span, message, help="write year-month-day: 2027-01-31"))
    return None


def _default(nodes: Sequence[ast.Default], found: list[Diagnostic]) -> Default:
    found += [
        Diagnostic.of(
            Code.DUPLICATE_DEFAULT,
            later.span,
            "the default is given twice",
            Label(nodes[0].span, "it was given here"),
            help="keep one: there is one default for the whole directory",
        )
        for later in nodes[1:]
    ]
    return Default(nodes[0].action, nodes[0].log, nodes[0].span) if nodes else Default()


def _protect(node: ast.Protect, scope: Scope) -> list[Protect]:
    src = scope.named_set(node.src)
    service = scope.named_service(node.services)
    return [Protect(node.name.text, src, service, node.span)] if src and service else []


def _test(node: ast.Test, scope: Scope) -> PolicyTest:
    expectations: list[Expectation] = []
    for each in node.expectations:
        src = scope.named_set(each.flow.src)
        dst = scope.named_set(each.flow.dst)
        service = scope.named_service(each.flow.services)
        if src is None or dst is None or service is None:
            continue
        expectations.append(Expectation(each.action, each.some, src, dst, service, each.span))
        if each.flow.both_ways and src != dst:
            expectations.append(Expectation(each.action, each.some, dst, src, service, each.span))
    return PolicyTest(node.name.unquoted, tuple(expectations), node.span)


def _first_of_each(
    items: Iterable[tuple[_Key, str, _Clause]], found: list[Diagnostic]
) -> dict[_Key, _Clause]:
    """Return the first item of each kind; a second one is reported."""
    first: dict[_Key, _Clause] = {}
    for key, word, node in items:
        earlier = first.setdefault(key, node)
        if earlier is not node:
            found.append(
                Diagnostic.of(
                    Code.DUPLICATE_OPTION,
                    node.span,
                    f"{word} is given twice",
                    Label(earlier.span, "it was given here"),
                    help="keep one",
                )
            )
    return first
