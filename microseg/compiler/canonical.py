"""Canonical text of expressions: what decides the ids of sets and services (I5).

Two ways of writing the same expression get the same text where that is cheap to see: blanks, parentheses, the
order of a union, spellings of an address. Where it isn't, they get two ids, which costs entries and no more.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, assert_never

from microseg.lang import ast
from microseg.policy.services import ALL_PORTS, HIGHEST_PORT, Protocol

if TYPE_CHECKING:
    from microseg.policy.ranges import Range
    from microseg.policy.services import ServiceSet

_UNIONS = {ast.Operator.COMMA, ast.Operator.OR}


def addresses(node: ast.Addresses) -> str:
    """Return the canonical text of a valid expression; a group's own name for a name alone."""
    match node:
        case ast.GroupName(name=name):
            return name
        case ast.Address(text=text):
            return _block(text)
        case ast.AddressRange(first=first, last=last):
            return f"{_block(first.text)} - {_block(last.text)}"
        case ast.Anything(which=which):
            return which.value
        case ast.ListFile(path=path):
            return f'file("{path.unquoted}")'
        case ast.Complement(operand=operand):
            return f"!({addresses(operand)})"
        case ast.Operation():
            return _operation(node)
        case _ as never:
            assert_never(never)


def protocol(services: ServiceSet) -> str:
    """Return the canonical text of one term, such as `tcp/80 from 1024-65535`."""
    return " | ".join(
        _target(target)
        + (f" from {_interval(source)}" if (source := (slab.low, slab.high)) != ALL_PORTS else "")
        for slab in services.slabs
        for target in slab.targets
    )


def union(texts: list[str]) -> str:
    """Return the canonical text of a union."""
    return ", ".join(sorted(set(texts)))


def _operation(node: ast.Operation) -> str:
    texts = [addresses(operand) for operand in node.operands]
    kinds = set(node.operators)
    if kinds <= _UNIONS:
        return f"({' | '.join(sorted(set(texts)))})"
    if kinds == {ast.Operator.AND}:
        return f"({' & '.join(sorted(set(texts)))})"
    text = texts[0]
    for operator, operand in zip(node.operators, texts[1:], strict=True):
        text = f"({text} {'|' if operator in _UNIONS else operator.value} {operand})"
    return text


def _block(text: str) -> str:
    network = ipaddress.ip_network(text)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _target(target: Range) -> str:
    low, high = target
    first, last = low >> 16, high >> 16
    if first != last:
        return f"proto/{first}-{last}"
    name = Protocol(first).name.lower() if first in set(Protocol) else f"proto/{first}"
    ports = (low & HIGHEST_PORT, high & HIGHEST_PORT)
    if ports == ALL_PORTS:
        return name
    if first not in (Protocol.ICMP, Protocol.ICMPV6):
        return f"{name}/{_interval(ports)}"
    if ports[0] == ports[1]:
        return f"{name}/{ports[0] >> 8}/{ports[0] & 0xFF}"
    return f"{name}/{_interval((ports[0] >> 8, ports[1] >> 8))}"


def _interval(pair: Range) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}-{pair[1]}"
