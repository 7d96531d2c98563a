"""Protocols, ports and ICMP types: text to sets of services, with what is wrong about it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, assert_never

from microseg.compiler.address_values import ValueProblem
from microseg.diagnostics import Code, Diagnostic
from microseg.lang import ast
from microseg.policy.services import (
    ALL_PORTS,
    HIGHEST_PORT,
    HIGHEST_PROTOCOL,
    NO_SERVICE,
    Protocol,
    ServiceSet,
)

if TYPE_CHECKING:
    from microseg.policy.ranges import Range

PROTOCOLS = {protocol.name.lower(): protocol for protocol in Protocol}
GENERIC = "proto"
"""The word in front of a protocol's number."""

RESERVED = frozenset({*PROTOCOLS, GENERIC})
"""Names a service can't have."""

ICMP_TYPES = {
    "echo-reply": 0,
    "destination-unreachable": 3,
    "redirect": 5,
    "echo-request": 8,
    "router-advertisement": 9,
    "router-solicitation": 10,
    "time-exceeded": 11,
    "parameter-problem": 12,
    "timestamp-request": 13,
    "timestamp-reply": 14,
}
"""IANA, ICMP Type Numbers."""

ICMPV6_TYPES = {
    "destination-unreachable": 1,
    "packet-too-big": 2,
    "time-exceeded": 3,
    "parameter-problem": 4,
    "echo-request": 128,
    "echo-reply": 129,
    "multicast-listener-query": 130,
    "multicast-listener-report": 131,
    "multicast-listener-done": 132,
    "router-solicitation": 133,
    "router-advertisement": 134,
    "neighbor-solicitation": 135,
    "neighbor-advertisement": 136,
    "redirect": 137,
    "multicast-listener-report-v2": 143,
}
"""IANA, ICMPv6 "type" Numbers."""


def of_protocol(node: ast.ProtocolService, found: list[Diagnostic]) -> ServiceSet | None:
    """Return the services of `tcp/80 from 1024-65535` and its like; None, with the reason in found."""
    try:
        return _of_protocol(node)
    except _Misplaced as misplaced:
        found.append(misplaced.diagnostic)
        return None


class _Misplaced(Exception):  # noqa: N818  it never leaves this page
    """A problem with its place."""

    def __init__(self, problem: ValueProblem, node: ast.Word | ast.Ports) -> None:
        super().__init__(problem.message)
        self.diagnostic = problem.at(node.span)


def _of_protocol(node: ast.ProtocolService) -> ServiceSet:
    name = node.protocol.text
    if name == GENERIC:
        return _of_numbers(node)
    if name not in PROTOCOLS:
        close = difflib.get_close_matches(name, PROTOCOLS, n=1)
        advice = f"did you mean `{close[0]}`?" if close else "write proto/NUMBER for any other protocol"
        if node.selector is None:
            advice = f"source ports belong into the definition: `service {name} = tcp/80 from 1024-65535`"
        raise _Misplaced(
            ValueProblem(Code.UNKNOWN_PROTOCOL, f"there is no protocol `{name}` here", advice), node.protocol
        )
    protocol = PROTOCOLS[name]
    if protocol.is_icmp:
        return _of_icmp(node, protocol)
    if isinstance(node.selector, ast.IcmpType):
        advice = f"write a number, as in {name}/443"
        problem = ValueProblem(Code.BAD_PORT, f"`{node.selector.type.text}` is not a port number", advice)
        raise _Misplaced(problem, node.selector.type)
    ports = _ports(node.selector) if node.selector else ALL_PORTS
    source_ports = _ports(node.source) if node.source else ALL_PORTS
    return ServiceSet.of(protocol, ports, source_ports)


def _of_numbers(node: ast.ProtocolService) -> ServiceSet:
    """Return the services of proto/47."""
    _refuse_source_ports(node)
    match node.selector:
        case ast.Ports() as ports:
            low, high = _interval(ports, HIGHEST_PROTOCOL, Code.UNKNOWN_PROTOCOL, "a protocol number")
            services = NO_SERVICE
            for number in range(low, high + 1):
                services |= ServiceSet.of(number)
            return services
        case ast.IcmpType() as named:
            problem = ValueProblem(
                Code.UNKNOWN_PROTOCOL,
                f"`{named.type.text}` is not a protocol number",
                "write the number, as in proto/47 for GRE",
            )
            raise _Misplaced(problem, named.type)
        case None:
            problem = ValueProblem(
                Code.UNKNOWN_PROTOCOL, "`proto` needs a protocol number", "write for instance proto/47"
            )
            raise _Misplaced(problem, node.protocol)
        case _ as never:
            assert_never(never)


def _of_icmp(node: ast.ProtocolService, protocol: Protocol) -> ServiceSet:
    _refuse_source_ports(node)
    match node.selector:
        case None:
            return ServiceSet.of(protocol)
        case ast.Ports() as types:
            low, high = _interval(types, 255, Code.BAD_ICMP_TYPE, "an ICMP type")
            return ServiceSet.of(protocol, (low << 8, high << 8 | 0xFF))
        case ast.IcmpType() as named:
            kind = _icmp_type(named.type, protocol)
            if named.code is None:
                return ServiceSet.of(protocol, (kind << 8, kind << 8 | 0xFF))
            code = _number(named.code, 255, Code.BAD_ICMP_TYPE, "an ICMP code")
            return ServiceSet.of(protocol, (kind << 8 | code, kind << 8 | code))
        case _ as never:
            assert_never(never)


def _icmp_type(word: ast.Word, protocol: Protocol) -> int:
    if word.text[:1].isdigit():
        return _number(word, 255, Code.BAD_ICMP_TYPE, "an ICMP type")
    names = ICMP_TYPES if protocol is Protocol.ICMP else ICMPV6_TYPES
    if word.text in names:
        return names[word.text]
    close = [name for name in names if name.startswith(word.text)]
    close = close or difflib.get_close_matches(word.text, names, n=1)
    advice = (
        f"did you mean `{close[0]}`?"
        if close
        else f"write the type's number, as in {protocol.name.lower()}/42"
    )
    problem = ValueProblem(
        Code.BAD_ICMP_TYPE, f"`{word.text}` is not a type of {protocol.name.lower()}", advice
    )
    raise _Misplaced(problem, word)


def _refuse_source_ports(node: ast.ProtocolService) -> None:
    if node.source:
        name = node.protocol.text
        raise _Misplaced(
            ValueProblem(Code.NO_PORTS, f"`{name}` has no source ports", "leave `from` out"), node.source
        )


def _ports(node: ast.Ports) -> Range:
    return _interval(node, HIGHEST_PORT, Code.BAD_PORT, "a port")


def _interval(node: ast.Ports, highest: int, code: Code, what: str) -> Range:
    low = _number(node.first, highest, code, what)
    high = _number(node.last, highest, code, what)
    if low > high:
        problem = ValueProblem(
            Code.REVERSED_RANGE, f"the range `{low}-{high}` ends before it starts", f"write {high}-{low}"
        )
        raise _Misplaced(problem, node)
    return low, high


def _number(word: ast.Word, highest: int, code: Code, what: str) -> int:
    text = word.text
    if text.isascii() and text.isdigit() and len(text) <= 6 and int(text) <= highest:
        return int(text)
    advice = f"write a number from 0 to {highest}"
    raise _Misplaced(ValueProblem(code, f"`{text}` is not {what}", advice), word)
