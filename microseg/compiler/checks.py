"""What a policy says that its author probably doesn't mean: the warnings about meaning.

What takes a look at the other rules is found in microseg/analysis, limits in limits.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from microseg.diagnostics import Code, Diagnostic
from microseg.lang import ast
from microseg.lang.ast import Operator
from microseg.memo import Each
from microseg.policy.addresses import Family
from microseg.policy.rules import NOTICE
from microseg.policy.services import Protocol, ServiceSet

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from datetime import date, timedelta

    from microseg.compiler.names import Names
    from microseg.compiler.resolve import Resolution
    from microseg.policy.rules import NamedSet, Policy, Rule, Ruleset

_ICMP = {Family.IPV4: ServiceSet.of(Protocol.ICMP), Family.IPV6: ServiceSet.of(Protocol.ICMPV6)}
_OTHER = {Family.IPV4: Family.IPV6, Family.IPV6: Family.IPV4}


@dataclass(frozen=True, slots=True)
class Remarks:
    """What was said the last time about each file, and about each policy by itself."""

    operators: Each[ast.File, list[Diagnostic]] = field(default_factory=Each)
    inside: Each[ast.File, list[Diagnostic]] = field(default_factory=Each)
    policies: Each[Policy, list[Diagnostic]] = field(default_factory=Each)


def check(
    files: Sequence[ast.File],
    resolution: Resolution,
    today: date,
    notice: timedelta = NOTICE,
    *,
    whole: bool,
    known: Remarks | None = None,
) -> list[Diagnostic]:
    """Return the warnings and notes about a policy directory.

    Args:
        files: its syntax trees.
        resolution: what they mean.
        today: decides which rules have expired.
        notice: how long before its last day a rule is announced to expire.
        whole: nothing was left out because of an error, so what seems to be missing really is.
        known: what was said before of a file or a policy by itself.

    """
    known = known or Remarks()
    groups = resolution.scope.groups.nodes
    empty = tuple(name for name, group in resolution.scope.sets.items() if not (group.v4 or group.v6))
    found = [_empty_group(name, groups[name]) for name in empty]
    found += chain.from_iterable(known.operators.of(files, _mixed_operators))
    given, policies = (today, notice, empty), resolution.ruleset.policies
    found += chain.from_iterable(
        known.policies.of(policies, lambda policy: _of_policy(policy, *given), given)
    )
    found += _nothing_protected(resolution.ruleset, groups)
    if whole:
        found += _unused(resolution.scope.groups, Code.UNUSED_GROUP)
        found += _unused(resolution.scope.services, Code.UNUSED_SERVICE)
        found += chain.from_iterable(known.inside.of(files, _nothing_inside))
    return found


def _of_policy(policy: Policy, today: date, notice: timedelta, empty: Collection[str]) -> list[Diagnostic]:
    """Return what there is to say about its rules; groups that are empty are told of at their definition."""
    return [
        each for rule in policy.rules for each in (*_expiry(rule, today, notice), *_unmatchable(rule, empty))
    ]


def _nothing_protected(ruleset: Ruleset, groups: Iterable[str]) -> Iterator[Diagnostic]:
    for protect in ruleset.protects:
        if not protect.src.addresses and protect.src.name not in groups:
            yield Diagnostic.of(
                Code.EMPTY_SET,
                protect.span,
                f"this protects nothing: `{protect.src.name}` has no address",
                help="look at its `-`, `&` and lists",
            )


def _mixed_operators(file: ast.File) -> list[Diagnostic]:
    """Warn of `a | b - c`, which is read from left to right and often meant otherwise."""
    return [
        Diagnostic.of(
            Code.MIXED_OPERATORS,
            operation.span,
            "`|` and `-` without parentheses are taken from left to right",
            help="write parentheses: `(a | b) - c` or `a | (b - c)`",
        )
        for statement in file.statements
        for node in _expressions(statement)
        for operation in _operations(node)
        if {Operator.OR, Operator.MINUS} <= set(operation.operators)
    ]


def _expressions(statement: ast.Statement) -> Iterator[ast.Addresses]:
    match statement:
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


def _operations(node: ast.Addresses) -> Iterator[ast.Operation]:
    match node:
        case ast.Operation(operands=operands):
            yield node
            for operand in operands:
                yield from _operations(operand)
        case ast.Complement(operand=operand):
            yield from _operations(operand)
        case _:
            pass


def _empty_group(name: str, node: ast.Group) -> Diagnostic:
    return Diagnostic.of(
        Code.EMPTY_SET,
        node.name.span,
        f"group `{name}` has no address",
        help="a rule with an empty set never matches: look at its `-`, `&` and lists",
    )


def _expiry(rule: Rule, today: date, notice: timedelta) -> Iterator[Diagnostic]:
    if rule.expires is None:
        return
    day = rule.expires.isoformat()
    if rule.expires < today:
        yield Diagnostic.of(
            Code.EXPIRED_RULE,
            rule.span,
            f"this rule expired after {day} and does nothing any more",
            help="delete it, or give it a later date",
        )
    elif rule.expires - today <= notice:
        yield Diagnostic.of(
            Code.EXPIRES_SOON,
            rule.span,
            f"this rule expires after {day}",
            help="give it a later date if it is still needed then",
        )


def _unmatchable(rule: Rule, groups: Iterable[str]) -> Iterator[Diagnostic]:
    """Warn of a rule no packet can match, whatever the other rules say."""
    empty = [each for each in (rule.src, rule.dst) if not each.addresses]
    if empty:
        yield from (_empty(each, rule) for each in empty if each.name not in groups)
        return
    common = [family for family in Family if _has(rule.src, family) and _has(rule.dst, family)]
    if not common:
        yield Diagnostic.of(
            Code.NO_COMMON_FAMILY,
            rule.span,
            "this rule never matches: one side has only IPv4 addresses, the other only IPv6",
            help="a packet has addresses of one family: write a rule for each",
        )
    elif len(common) == 1 and rule.service.services <= _ICMP[_OTHER[common[0]]]:
        right, wrong = ("ICMP", "ICMPv6") if common == [Family.IPV4] else ("ICMPv6", "ICMP")
        yield Diagnostic.of(
            Code.FAMILY_MISMATCH,
            rule.span,
            f"{wrong} between addresses of IPv{common[0].value}, which has {right}",
            help=f"write {right.lower()}/... here",
        )


def _has(named: NamedSet, family: Family) -> bool:
    return bool(named.addresses.family(family))


def _empty(named: NamedSet, rule: Rule) -> Diagnostic:
    return Diagnostic.of(
        Code.EMPTY_SET,
        rule.span,
        f"this rule never matches: `{named.name}` has no address",
        help="look at its `-`, `&` and lists",
    )


def _unused(names: Names[ast.Group] | Names[ast.Service], code: Code) -> Iterator[Diagnostic]:
    unused = names.nodes.keys() - names.used
    for name in filter(unused.__contains__, names.nodes):
        node = names.nodes[name]
        yield Diagnostic.of(
            code,
            node.name.span,
            f"{names.wording.word} `{name}` is used nowhere",
            help="delete it, or use it in a rule",
        )


def _nothing_inside(file: ast.File) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    for statement in file.statements:
        match statement:
            case ast.Policy(name=name, rules=()):
                message = f"policy `{name.text}` has no rules and decides nothing"
                found.append(
                    Diagnostic.of(Code.NO_RULES, name.span, message, help="add a rule, or delete it")
                )
            case ast.Test(name=name, expectations=()):
                message = f"test {name.text} expects nothing and can't fail"
                advice = "add `expect allow SRC -> DST`, or delete it"
                found.append(Diagnostic.of(Code.EMPTY_TEST, name.span, message, help=advice))
            case _:
                pass
    return found
