"""Syntax trees without places: comparing them, and making any of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import strategies as st

from microseg.lang import ast
from microseg.lang.ast import AnyAddress, Operator, OptionName, Word
from microseg.policy.rules import Action
from microseg.source import Span

HERE = Span("p", 1, 1, 1, 2)


def bare(node: object) -> Any:
    """Return a tree as plain values without its spans, and a rule's clauses in their usual order."""
    if dataclasses.is_dataclass(node):
        fields = (field.name for field in dataclasses.fields(node) if field.name != "span")
        values = {name: bare(getattr(node, name)) for name in fields}
        if isinstance(node, ast.Rule):
            order = {ast.Log: 0, ast.Expires: 1, ast.Remark: 2}
            values["clauses"] = [bare(each) for each in sorted(node.clauses, key=lambda it: order[type(it)])]
        return type(node).__name__, values
    if isinstance(node, tuple):
        return [bare(each) for each in node]
    return node


def word(text: str) -> Word:
    return Word(text, HERE)


NAMES = st.sampled_from(("web", "app-1", "db.prod", "a", "log2", "tcp")).map(word)
TEXTS = st.text(st.characters(blacklist_categories=["C", "Z"], blacklist_characters='"'), max_size=9).map(
    lambda text: word(f'"{text}"')
)
NUMBERS = st.integers(0, 70_000).map(str).map(word)
SINGLE = st.sampled_from(("10.0.0.1", "10.0.0.9", "::1", "2001:db8::ff", "::ffff:1.2.3.4")).map(
    lambda text: ast.Address(text, HERE)
)
NETWORK = st.sampled_from(("10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0")).map(
    lambda text: ast.Address(text, HERE)
)


def _operations(operands: st.SearchStrategy[ast.Addresses]) -> st.SearchStrategy[ast.Addresses]:
    def operation(parts: list[ast.Addresses], operators: list[Operator]) -> ast.Operation:
        return ast.Operation(tuple(parts), tuple(operators[: len(parts) - 1]), HERE)

    kinds = (
        st.just([Operator.COMMA] * 4),
        st.just([Operator.AND] * 4),
        st.lists(st.sampled_from((Operator.OR, Operator.MINUS)), min_size=4, max_size=4),
    )
    return st.one_of(
        operands.map(lambda operand: ast.Complement(operand, HERE)),
        *(st.builds(operation, st.lists(operands, min_size=2, max_size=4), kind) for kind in kinds),
    )


ADDRESSES: st.SearchStrategy[ast.Addresses] = st.recursive(
    st.one_of(
        SINGLE,
        NETWORK,
        NAMES.map(lambda name: ast.GroupName(name.text, HERE)),
        st.builds(ast.AddressRange, SINGLE, SINGLE, st.just(HERE)),
        st.builds(ast.Anything, st.sampled_from(AnyAddress), st.just(HERE)),
        st.builds(ast.ListFile, TEXTS, st.just(HERE)),
    ),
    _operations,
    max_leaves=12,
)

PORTS = st.one_of(
    NUMBERS.map(lambda number: ast.Ports(number, number, HERE)),
    st.builds(ast.Ports, NUMBERS, NUMBERS, st.just(HERE)),
)
ICMP_TYPES = st.one_of(
    NAMES.map(lambda name: ast.IcmpType(name, None, HERE)),
    st.builds(ast.IcmpType, NAMES | NUMBERS, NAMES | NUMBERS, st.just(HERE)),
)
TERMS: st.SearchStrategy[ast.ServiceTerm] = st.one_of(
    st.just(ast.AnyService(HERE)),
    NAMES.map(lambda name: ast.ServiceName(name.text, HERE)),
    st.builds(ast.ProtocolService, NAMES, PORTS | ICMP_TYPES, st.none() | PORTS, st.just(HERE)),
    st.builds(ast.ProtocolService, NAMES, st.none(), PORTS, st.just(HERE)),
)
SERVICES = st.lists(TERMS, min_size=1, max_size=12).map(lambda terms: ast.Services(tuple(terms), HERE))

FLOWS = st.builds(ast.Flow, ADDRESSES, ADDRESSES, st.booleans(), st.none() | SERVICES, st.just(HERE))
CLAUSES = st.one_of(
    st.just(ast.Log(HERE)),
    st.just(ast.Expires(word("2027-01-31"), HERE)),
    st.builds(ast.Remark, TEXTS, st.just(HERE)),
)
ACTIONS = st.sampled_from(Action)
RULES = st.builds(ast.Rule, ACTIONS, FLOWS, st.lists(CLAUSES, max_size=3).map(tuple), st.just(HERE))
HEAD_OPTIONS = st.one_of(
    NUMBERS.map(lambda number: ast.Option(OptionName.PRIORITY, number, HERE)),
    st.sampled_from(("audit", "enforce")).map(lambda mode: ast.Option(OptionName.MODE, word(mode), HERE)),
)
OWNERS = TEXTS.map(lambda text: ast.Option(OptionName.OWNER, text, HERE))
EXPECTATIONS = st.builds(ast.Expectation, st.booleans(), ACTIONS, FLOWS, st.just(HERE))


def _many(of: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=most).map(tuple)


STATEMENTS: st.SearchStrategy[ast.Statement] = st.one_of(
    st.builds(ast.Group, NAMES, ADDRESSES, st.just(HERE)),
    st.builds(ast.Service, NAMES, SERVICES, st.just(HERE)),
    st.builds(
        lambda name, head, owners, rules: ast.Policy(name, head + owners, rules, HERE),
        NAMES,
        _many(HEAD_OPTIONS, 2),
        _many(OWNERS, 1),
        _many(RULES),
    ),
    st.builds(ast.Default, ACTIONS, st.booleans(), st.just(HERE)),
    st.builds(ast.Protect, NAMES, ADDRESSES, st.none() | SERVICES, st.just(HERE)),
    st.builds(ast.Test, TEXTS, _many(EXPECTATIONS), st.just(HERE)),
)
FILES = _many(STATEMENTS, 4).map(lambda statements: ast.File("p", statements))
