"""The syntax tree: what was written, as it was written, with the place of everything.

Nothing here is checked beyond the grammar: values are still text, names may be unknown, options may be given
twice. The compiler's resolve.py gives the tree its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from microseg.policy.rules import Action
    from microseg.source import Span


@dataclass(frozen=True, slots=True)
class Word:
    """One word or sign of the text; a quoted text still has its quotes."""

    text: str
    span: Span

    @property
    def unquoted(self) -> str:
        """The text without quotes; the language has no escapes."""
        return self.text.strip('"')


class Operator(Enum):
    """How two sets of addresses are combined; the value is the sign."""

    COMMA = ","
    """Union, written as a list."""
    OR = "|"
    """Union."""
    MINUS = "-"
    """Difference."""
    AND = "&"
    """Intersection."""


class AnyAddress(Enum):
    """The sets that need no definition; the value is the word."""

    BOTH = "any"
    IPV4 = "any4"
    IPV6 = "any6"


# Sets of addresses.


@dataclass(frozen=True, slots=True)
class GroupName:
    """A group by its name."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Address:
    """An address or a CIDR, unchecked."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class AddressRange:
    """Two single addresses with a `-` between."""

    first: Address
    last: Address
    span: Span


@dataclass(frozen=True, slots=True)
class Anything:
    """`any`, `any4` or `any6`."""

    which: AnyAddress
    span: Span


@dataclass(frozen=True, slots=True)
class ListFile:
    """`file("path")`; the path is relative to the policy directory."""

    path: Word
    span: Span


@dataclass(frozen=True, slots=True)
class Complement:
    """`!` and a set."""

    operand: Addresses
    span: Span


@dataclass(frozen=True, slots=True)
class Operation:
    """Sets combined from left to right by operators of one tightness.

    Attributes:
        operands: two or more.
        operators: one fewer; all COMMA, all AND, or a mix of OR and MINUS.

    """

    operands: tuple[Addresses, ...]
    operators: tuple[Operator, ...]
    span: Span


Addresses: TypeAlias = GroupName | Address | AddressRange | Anything | ListFile | Complement | Operation


# Services.


@dataclass(frozen=True, slots=True)
class ServiceName:
    """A service by its name, or a protocol's name alone: `tcp` is every port of TCP."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class AnyService:
    """`any`: every packet."""

    span: Span


@dataclass(frozen=True, slots=True)
class Ports:
    """A number, or two with a `-` between, unchecked; for ICMP the number is a type, for proto a protocol."""

    first: Word
    last: Word
    span: Span

    @property
    def is_range(self) -> bool:
        """Whether it was written as two numbers."""
        return self.first is not self.last


@dataclass(frozen=True, slots=True)
class IcmpType:
    """A type, by name or number, and perhaps a code, unchecked."""

    type: Word
    code: Word | None
    span: Span


@dataclass(frozen=True, slots=True)
class ProtocolService:
    """A protocol with ports or an ICMP type, and perhaps source ports, unchecked.

    Attributes:
        protocol: its name.
        selector: what stands behind the slash, or None.
        source: what stands behind `from`, or None.

    """

    protocol: Word
    selector: Ports | IcmpType | None
    source: Ports | None
    span: Span


ServiceTerm: TypeAlias = ServiceName | AnyService | ProtocolService


@dataclass(frozen=True, slots=True)
class Services:
    """One or more services, a union."""

    terms: tuple[ServiceTerm, ...]
    span: Span


# Rules.


@dataclass(frozen=True, slots=True)
class Flow:
    """`SRC -> DST : SERVICES`; without services it is every service."""

    src: Addresses
    dst: Addresses
    both_ways: bool
    services: Services | None
    span: Span


@dataclass(frozen=True, slots=True)
class Log:
    """The word `log`."""

    span: Span


@dataclass(frozen=True, slots=True)
class Expires:
    """`expires` and a date, unchecked."""

    date: Word
    span: Span


@dataclass(frozen=True, slots=True)
class Remark:
    """The quoted text behind a rule."""

    text: Word
    span: Span


Clause: TypeAlias = Log | Expires | Remark


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of a policy; clauses in the order they were written, perhaps repeated."""

    action: Action
    flow: Flow
    clauses: tuple[Clause, ...]
    span: Span


class OptionName(Enum):
    """What can be said about a policy as a whole; the value is the word."""

    PRIORITY = "priority"
    MODE = "mode"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Option:
    """A priority (a number, unchecked), a mode, or a quoted owner."""

    name: OptionName
    value: Word
    span: Span


# Statements.


@dataclass(frozen=True, slots=True)
class Group:
    """`group NAME = ADDRESSES`."""

    name: Word
    addresses: Addresses
    span: Span


@dataclass(frozen=True, slots=True)
class Service:
    """`service NAME = SERVICES`."""

    name: Word
    services: Services
    span: Span


@dataclass(frozen=True, slots=True)
class Policy:
    """`policy NAME OPTIONS { RULES }`; options in the order they were written, perhaps repeated."""

    name: Word
    options: tuple[Option, ...]
    rules: tuple[Rule, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Default:
    """`default ACTION [log]`."""

    action: Action
    log: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Protect:
    """`protect NAME from ADDRESSES [: SERVICES]`."""

    name: Word
    src: Addresses
    services: Services | None
    span: Span


@dataclass(frozen=True, slots=True)
class Expectation:
    """`expect [some] ACTION FLOW`."""

    some: bool
    action: Action
    flow: Flow
    span: Span


@dataclass(frozen=True, slots=True)
class Test:
    """`test "NAME" { EXPECTATIONS }`."""

    name: Word
    expectations: tuple[Expectation, ...]
    span: Span


Statement: TypeAlias = Group | Service | Policy | Default | Protect | Test


@dataclass(frozen=True, slots=True)
class Comment:
    """A `#` comment up to the end of its line.

    Attributes:
        text: with the `#`, without trailing blanks.
        own_line: nothing but blanks stands in front of it.

    """

    text: str
    own_line: bool
    span: Span


class Kind(Enum):
    """What a statement with a syntax error was going to be; the value is its first word."""

    GROUP = "group"
    SERVICE = "service"
    POLICY = "policy"
    DEFAULT = "default"
    PROTECT = "protect"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Broken:
    """A statement that was left out because of a syntax error.

    Attributes:
        kind: what it was going to be, None when not even that is known.
        name: what it was going to define, None when that is lost or it has no name.

    """

    kind: Kind | None
    name: Word | None


@dataclass(frozen=True, slots=True)
class File:
    """One policy file.

    Attributes:
        path: relative to the policy directory.
        statements: those without a syntax error, in the order of the text.
        comments: in the order of the text.
        broken: the statements with a syntax error, so that what they would have defined isn't missed.

    """

    path: str
    statements: tuple[Statement, ...] = ()
    comments: tuple[Comment, ...] = ()
    broken: tuple[Broken, ...] = ()
