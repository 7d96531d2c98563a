"""Rules, policies and the whole of them: what the language means, free of its text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, TypeAlias

from microseg.policy.addresses import ANY_ADDRESS, AddressSet
from microseg.policy.services import ANY_SERVICE, ServiceSet

if TYPE_CHECKING:
    from datetime import date

    from microseg.source import Span

DEFAULT_PRIORITY = 1000

NOTICE = timedelta(days=14)
"""How long before its last day a rule is announced to expire."""


class Action(Enum):
    """What a rule says; the value is the word of the language."""

    ALLOW = "allow"
    DENY = "deny"
    REJECT = "reject"


class Mode(Enum):
    """How a policy's denials are taken; the value is the word of the language."""

    ENFORCE = "enforce"
    AUDIT = "audit"


class Verdict(IntEnum):
    """What happens to a packet; the number is the one in the kernel's maps, where 0 is invalid."""

    ALLOW = 1
    """Passes."""
    DENY = 2
    """Dropped without an answer."""
    REJECT = 3
    """Dropped and answered with a TCP RST or an ICMP error."""
    AUDIT = 4
    """Passes, counted and reported as *would deny*."""

    @property
    def passes(self) -> bool:
        """Whether the packet goes on."""
        return self in (Verdict.ALLOW, Verdict.AUDIT)


@dataclass(frozen=True, slots=True)
class NamedSet:
    """Addresses a rule refers to.

    Attributes:
        name: the group's name, or the canonical text of the expression; decides the set's id.
        addresses: what it stands for.

    """

    name: str
    addresses: AddressSet


@dataclass(frozen=True, slots=True)
class NamedService:
    """Services a rule refers to; name as for NamedSet."""

    name: str
    services: ServiceSet


ANY_SET = NamedSet("any", ANY_ADDRESS)
ANY_NAMED_SERVICE = NamedService("any", ANY_SERVICE)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a policy.

    Attributes:
        action: what to do with a packet that matches.
        src: where it comes from.
        dst: where it goes.
        service: what it is.
        both_ways: written <->: also matches packets from dst to src, with the same service.
        log: report every packet this rule decides.
        expires: last day the rule is valid, or None.
        comment: the quoted text behind it.
        span: where it stands.

    """

    action: Action
    src: NamedSet
    dst: NamedSet
    service: NamedService
    span: Span
    both_ways: bool = False
    log: bool = False
    expires: date | None = None
    comment: str = ""

    def directions(self) -> tuple[tuple[NamedSet, NamedSet], ...]:
        """Return the (source, destination) pairs the rule matches."""
        if self.both_ways and self.src != self.dst:
            return ((self.src, self.dst), (self.dst, self.src))
        return ((self.src, self.dst),)

    def canonical(self) -> str:
        """Return the rule's meaning as text; with the policy's name it decides the rule's id."""
        arrow = "<->" if self.both_ways else "->"
        return f"{self.action.value} {self.src.name} {arrow} {self.dst.name} : {self.service.name}"


@dataclass(frozen=True, slots=True)
class Policy:
    """A named block of rules: the first that matches decides."""

    name: str
    span: Span
    rules: tuple[Rule, ...]
    priority: int = DEFAULT_PRIORITY
    mode: Mode = Mode.ENFORCE
    owner: str = ""

    def verdict(self, rule: Rule) -> Verdict:
        """Return what a packet decided by this rule gets, the policy's mode considered."""
        if rule.action is Action.ALLOW:
            return Verdict.ALLOW
        if self.mode is Mode.AUDIT:
            return Verdict.AUDIT
        return Verdict.DENY if rule.action is Action.DENY else Verdict.REJECT

    def active_on(self, today: date) -> Policy:
        """Return the policy without the rules whose last valid day is before today; itself, if none is."""
        active = tuple(rule for rule in self.rules if rule.expires is None or rule.expires >= today)
        return self if len(active) == len(self.rules) else replace(self, rules=active)


@dataclass(frozen=True, slots=True)
class Default:
    """What happens to a packet that no rule matches; span is None when the text doesn't say."""

    action: Action = Action.DENY
    log: bool = False
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Protect:
    """Traffic that must never be cut: from these addresses to this host."""

    name: str
    src: NamedSet
    service: NamedService
    span: Span


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line of a test.

    Attributes:
        action: expected verdict; AUDIT counts as allow, because it passes.
        some: at least one packet of the product, instead of every packet.

    """

    action: Action
    some: bool
    src: NamedSet
    dst: NamedSet
    service: NamedService
    span: Span


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """A named group of expectations."""

    name: str
    expectations: tuple[Expectation, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class OrderedRule:
    """A rule with its policy, as the evaluation meets it."""

    policy: Policy
    rule: Rule

    @property
    def verdict(self) -> Verdict:
        """What a packet decided by this rule gets."""
        return self.policy.verdict(self.rule)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All that a policy directory says.

    Attributes:
        policies: in no particular order; `ordered` gives the order of evaluation.
        default: for packets no rule matches.
        protects: for the lock-out guard.
        tests: for the proofs.
        audit_all: every denial, the default's too, is only reported.

    """

    policies: tuple[Policy, ...] = ()
    default: Default = Default()
    protects: tuple[Protect, ...] = ()
    tests: tuple[PolicyTest, ...] = ()
    audit_all: bool = False

    def ordered(self) -> tuple[OrderedRule, ...]:
        """Return all rules in the order of evaluation: by priority, then name of the policy, then line."""
        return tuple(OrderedRule(policy, rule) for policy in self.in_order() for rule in policy.rules)

    def in_order(self) -> list[Policy]:
        """Return the policies in the order of evaluation: by priority, then name."""
        return sorted(self.policies, key=lambda policy: (policy.priority, policy.name))

    def default_verdict(self) -> Verdict:
        """Return what a packet that no rule matches gets."""
        if self.default.action is Action.ALLOW:
            return Verdict.ALLOW
        if self.audit_all:
            return Verdict.AUDIT
        return Verdict.DENY if self.default.action is Action.DENY else Verdict.REJECT

    def active_on(self, today: date) -> Ruleset:
        """Return the ruleset without the rules whose last valid day is before today."""
        return replace(self, policies=tuple(policy.active_on(today) for policy in self.policies))

    def audited(self) -> Ruleset:
        """Return the ruleset with every denial only reported (the --audit option)."""
        policies = tuple(replace(policy, mode=Mode.AUDIT) for policy in self.policies)
        return replace(self, policies=policies, audit_all=True)


Decider: TypeAlias = OrderedRule | Default
"""What decided a packet: a rule, or the default."""
