"""Addresses, CIDRs and ranges: text to sets, with what is wrong about it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.diagnostics import Code, Diagnostic
from microseg.policy.addresses import AddressSet, Family

if TYPE_CHECKING:
    from microseg.lang import ast
    from microseg.policy.ranges import Range
    from microseg.source import Span

_MAPPED = (0xFFFF << 32, (0xFFFF << 32) + 0xFFFFFFFF)
"""::ffff:0:0/96, RFC 4291 section 2.5.5.2."""


@dataclass(frozen=True, slots=True)
class Block:
    """The addresses of one family that an address or a CIDR stands for, as numbers in host order."""

    family: Family
    low: int
    high: int

    def to_set(self) -> AddressSet:
        """Return the block as a set."""
        span: tuple[Range, ...] = ((self.low, self.high),)
        return AddressSet(v4=span) if self.family is Family.IPV4 else AddressSet(v6=span)


class ValueProblem(Exception):  # noqa: N818  it is turned into a diagnostic where it is caught
    """A text isn't the value it should be: the code, the message and the help to show."""

    def __init__(self, code: Code, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.advice = advice

    def at(self, span: Span, code: Code | None = None) -> Diagnostic:
        """Return the diagnostic for the place the text stands at, under another code if one is given."""
        return Diagnostic.of(code or self.code, span, self.message, help=self.advice)


def parse_block(text: str) -> Block:
    """Return the block of an address or a CIDR; raises ValueProblem."""
    address, slash, length = text.partition("/")
    family = Family.IPV6 if ":" in address else Family.IPV4
    try:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError) as error:
        raise ValueProblem(
            Code.BAD_ADDRESS, f"`{text}` is not an IP address or CIDR", _address_advice(address)
        ) from error
    low = int.from_bytes(packed, "big")
    if not slash:
        return Block(family, low, low)
    if not (length.isascii() and length.isdigit() and len(length) <= 3) or int(length) > family.bits:
        raise ValueProblem(
            Code.BAD_PREFIX,
            f"the prefix length of `{text}` is not a number from 0 to {family.bits}",
            f"write {address}/{_netmask_bits(length) or family.bits}",
        )
    free = family.bits - int(length)
    network = low >> free << free
    if network != low:
        raise ValueProblem(
            Code.HOST_BITS,
            f"`{text}` has bits set behind its prefix",
            f"write {family.address(network)}/{length} for the network, or {address} for the one address",
        )
    return Block(family, low, low + (1 << free) - 1)


def parse_range(first: str, last: str) -> Block:
    """Return the block from one single address to another; raises ValueProblem."""
    low, high = parse_block(first), parse_block(last)
    for text in (first, last):
        if "/" in text:
            raise ValueProblem(
                Code.BAD_ADDRESS,
                f"a range goes from one address to another, `{text}` is a CIDR",
                "write parentheses for a difference of networks: (10.0.0.0/8) - (10.1.0.0/16)",
            )
    if low.family is not high.family:
        raise ValueProblem(
            Code.MIXED_FAMILIES,
            f"`{first} - {last}` goes from one address family to the other",
            "write a range for each family, with a comma between",
        )
    if low.low > high.low:
        raise ValueProblem(
            Code.REVERSED_RANGE,
            f"the range `{first} - {last}` ends before it starts",
            f"write {last} - {first}",
        )
    return Block(low.family, low.low, high.low)


def of_address(node: ast.Address, found: list[Diagnostic]) -> AddressSet | None:
    """Return the set of an address or CIDR; None, with the reason in found, if it isn't one."""
    try:
        block = parse_block(node.text)
    except ValueProblem as problem:
        found.append(problem.at(node.span))
        return None
    if block.family is Family.IPV6 and _MAPPED[0] <= block.low <= block.high <= _MAPPED[1]:
        plain = Family.IPV4.address(block.low & 0xFFFFFFFF)
        found.append(
            Diagnostic.of(
                Code.MAPPED_ADDRESS,
                node.span,
                f"`{node.text}` matches IPv6 packets with exactly this address, which no network carries",
                help=f"write {plain} to match IPv4 packets",
            )
        )
    return block.to_set()


def of_range(node: ast.AddressRange, found: list[Diagnostic]) -> AddressSet | None:
    """Return the set of a range; None, with the reason in found, if it isn't one."""
    try:
        return parse_range(node.first.text, node.last.text).to_set()
    except ValueProblem as problem:
        found.append(problem.at(node.span))
        return None


def _netmask_bits(text: str) -> int | None:
    """Return the prefix length that a netmask such as 255.255.0.0 stands for, None if it is none."""
    try:
        mask = int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
    except (OSError, ValueError):
        return None
    bits = mask.bit_count()
    return bits if mask == Family.IPV4.highest >> (32 - bits) << (32 - bits) else None


def _address_advice(address: str) -> str:
    if "%" in address:
        return "leave the zone out: a policy matches addresses on every interface"
    parts = address.split(".")
    if len(parts) == 4 and all(part.isascii() and part.isdigit() for part in parts):
        return "each of the four numbers is from 0 to 255, without leading zeros"
    if ":" in address:
        return f"write {address}::" if _is_ipv6(f"{address}::") else "write an address such as 2001:db8::1"
    return "write an address such as 192.0.2.1"


def _is_ipv6(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return False
    return True
