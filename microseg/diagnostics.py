"""What is wrong with a policy, as data: collected, sorted and shown together, never raised."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microseg.source import Span


class Severity(Enum):
    """How bad it is; the value is the word that is shown."""

    ERROR = "error"
    """The policy can't be applied."""
    WARNING = "warning"
    """It can, but it probably doesn't mean what its author thinks."""
    NOTE = "note"
    """Worth knowing."""


class Code(Enum):
    """Everything that can be said about a policy: a stable code, a title and a severity.

    The value is the code. A code is never reused, and each has a page in docs/diagnostics.
    """

    title: str
    severity: Severity

    SYNTAX = "MS001", "the text isn't what the grammar allows here", Severity.ERROR
    UNEXPECTED_CHARACTER = "MS002", "a character that the language doesn't have", Severity.ERROR
    UNTERMINATED_STRING = "MS003", "a quoted text without its closing quote", Severity.ERROR
    NOT_TEXT = "MS004", "the file isn't UTF-8 text", Severity.ERROR
    UNREADABLE = "MS005", "a file can't be read", Severity.ERROR
    TOO_LARGE = "MS006", "a policy file is too large", Severity.ERROR
    NESTED_TOO_DEEPLY = "MS007", "an expression is nested too deeply", Severity.ERROR
    UNCLOSED = "MS008", "a brace or parenthesis without its partner", Severity.ERROR
    TOO_MANY_ERRORS = "MS009", "too many syntax errors in one file", Severity.ERROR
    USELESS_IGNORE = "MS010", "an ignore comment that can't silence anything", Severity.WARNING
    NO_FILES = "MS011", "a policy directory without policy files", Severity.WARNING

    UNKNOWN_GROUP = "MS101", "a group that isn't defined", Severity.ERROR
    UNKNOWN_SERVICE = "MS102", "a service that isn't defined", Severity.ERROR
    DUPLICATE_GROUP = "MS103", "a group is defined twice", Severity.ERROR
    DUPLICATE_SERVICE = "MS104", "a service is defined twice", Severity.ERROR
    DUPLICATE_POLICY = "MS105", "a policy is defined twice", Severity.ERROR
    GROUP_CYCLE = "MS106", "groups that are defined by each other", Severity.ERROR
    SERVICE_CYCLE = "MS107", "services that are defined by each other", Severity.ERROR
    RESERVED_NAME = "MS108", "a word of the language used as a name", Severity.ERROR
    DUPLICATE_DEFAULT = "MS109", "the default is given twice", Severity.ERROR
    DUPLICATE_PROTECT = "MS110", "a protect line is defined twice", Severity.ERROR
    DUPLICATE_TEST = "MS111", "two tests of the same name", Severity.ERROR
    DUPLICATE_OPTION = "MS112", "an option or clause is given twice", Severity.ERROR

    BAD_ADDRESS = "MS201", "not an IP address or CIDR", Severity.ERROR
    BAD_PREFIX = "MS202", "a prefix length out of range", Severity.ERROR
    HOST_BITS = "MS203", "a CIDR with bits set behind its prefix", Severity.ERROR
    REVERSED_RANGE = "MS204", "a range whose end is before its start", Severity.ERROR
    MIXED_FAMILIES = "MS205", "a range from one address family to the other", Severity.ERROR
    MAPPED_ADDRESS = "MS206", "an IPv4-mapped IPv6 address", Severity.WARNING
    BAD_PORT = "MS207", "a port out of range", Severity.ERROR
    UNKNOWN_PROTOCOL = "MS208", "an unknown protocol", Severity.ERROR
    BAD_ICMP_TYPE = "MS209", "an unknown ICMP type or code", Severity.ERROR
    NO_PORTS = "MS210", "ports on a protocol that has none", Severity.ERROR
    BAD_DATE = "MS211", "not a date", Severity.ERROR
    BAD_PRIORITY = "MS212", "a priority out of range", Severity.ERROR
    LIST_LINE = "MS213", "a line of an address list that isn't an address", Severity.ERROR
    LIST_FILE = "MS214", "an address list can't be read", Severity.ERROR
    MIXED_OPERATORS = "MS215", "difference mixed with union without parentheses", Severity.WARNING
    REPEATED_ENTRY = "MS216", "an entry of an address list that says nothing new", Severity.NOTE

    SHADOWED_RULE = "MS301", "a rule that can never match", Severity.WARNING
    DUPLICATE_RULE = "MS302", "the same rule twice", Severity.WARNING
    EXPIRED_RULE = "MS303", "a rule that has expired", Severity.WARNING
    EXPIRES_SOON = "MS304", "a rule that expires soon", Severity.NOTE
    EMPTY_SET = "MS305", "a set without a single address or service", Severity.WARNING
    UNUSED_GROUP = "MS306", "a group nothing uses", Severity.WARNING
    UNUSED_SERVICE = "MS307", "a service nothing uses", Severity.WARNING
    NO_RULES = "MS308", "a policy without rules", Severity.WARNING
    NO_COMMON_FAMILY = "MS309", "a rule between IPv4 and IPv6 only", Severity.WARNING
    CONFLICT = "MS310", "policies of equal priority disagree", Severity.ERROR
    FAMILY_MISMATCH = "MS311", "an ICMP version the addresses can't carry", Severity.WARNING
    EMPTY_TEST = "MS312", "a test without expectations", Severity.WARNING
    REDUNDANT_RULE = "MS313", "a rule that changes nothing", Severity.WARNING
    REPEATED_DEFAULT = "MS314", "a rule that only repeats the default", Severity.NOTE
    POINTLESS_POLICY = "MS315", "a policy that changes nothing", Severity.WARNING
    BROAD_ALLOW = "MS316", "a rule that allows almost anybody almost everything", Severity.WARNING
    PROTECT_REFUSED = "MS317", "protected traffic that is refused everywhere", Severity.WARNING
    FAILED_TEST = "MS320", "a policy test failed", Severity.ERROR

    TOO_MANY_SETS = "MS401", "too many sets over one address", Severity.ERROR
    TOO_MANY_SERVICES = "MS402", "too many services over one port", Severity.ERROR
    MAP_TOO_SMALL = "MS403", "a kernel map is too small for the policy", Severity.ERROR
    SEARCH_TOO_LONG = "MS404", "judging a packet could take too many steps", Severity.ERROR

    def __new__(cls, value: str, title: str, severity: Severity) -> Self:
        """Make a member known by its code alone: Code("MS301")."""
        member = object.__new__(cls)
        member._value_ = value
        member.title = title
        member.severity = severity
        return member


@dataclass(frozen=True, slots=True)
class Label:
    """A remark about a place. A label on the diagnostic's own span is shown beside its underline."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing to say about a policy.

    Attributes:
        code: which; decides the docs page.
        severity: as the code's, unless the place asks for another.
        message: what is wrong here, one line, lower case, no full stop.
        span: where.
        labels: further places, and words beside the underline.
        help: what to type next; empty when there's nothing to advise. May have several lines.

    """

    code: Code
    severity: Severity
    message: str
    span: Span
    labels: tuple[Label, ...] = ()
    help: str = ""

    @classmethod
    def of(cls, code: Code, span: Span, message: str, *labels: Label, help: str = "") -> Diagnostic:  # noqa: A002  the field's name
        """Return a diagnostic with the severity of its code."""
        return cls(code, code.severity, message, span, labels, help)

    @property
    def is_error(self) -> bool:
        """Whether it keeps the policy from being applied."""
        return self.severity is Severity.ERROR


Diagnostics: TypeAlias = list[Diagnostic]


def in_order(diagnostics: Iterable[Diagnostic]) -> Diagnostics:
    """Return diagnostics sorted by place, then code, then message, each once."""
    return sorted(dict.fromkeys(diagnostics), key=lambda it: (it.span, it.code.value, it.message))


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Say whether any of them keeps the policy from being applied."""
    return any(diagnostic.is_error for diagnostic in diagnostics)


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """Return the count by severity, such as `2 errors, 1 warning`, or the empty string."""
    counts = dict.fromkeys(Severity, 0)
    for diagnostic in diagnostics:
        counts[diagnostic.severity] += 1
    return ", ".join(
        f"{count} {severity.value}{'' if count == 1 else 's'}" for severity, count in counts.items() if count
    )
