"""One policy on its way to entries: what it says by names, then by ids, then with its precedences.

Each step is a pure function of one policy and of the few numbers that others decide, so a policy that is as
before is not looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from microseg.compiler import ids
from microseg.compiler.image import (
    DEFAULT_RULE_ID,
    PAIR_SERVICE_ID,
    Origin,
    PolicyEntry,
    PolicyKey,
)
from microseg.compiler.precedence import Leg
from microseg.policy.rules import OrderedRule, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microseg.policy.addresses import AddressSet
    from microseg.policy.rules import Policy
    from microseg.policy.services import ServiceSet


class Names(NamedTuple):
    """A direction of a rule by names: of its sets, its service, and the rule itself."""

    src: str
    dst: str
    service: str
    rule: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A policy by names.

    Attributes:
        sets: what its sets' names stand for.
        services: what its services' names stand for.
        lines: the directions of its rules, in order.
        set_ids: the ids that its sets get, unless another name is in the way.
        service_ids: the same of its services.
        rule_ids: the same of its rules.

    """

    sets: Mapping[str, AddressSet]
    services: Mapping[str, ServiceSet]
    lines: tuple[tuple[Names, OrderedRule], ...]
    set_ids: Mapping[str, int]
    service_ids: Mapping[str, int]
    rule_ids: Mapping[str, int]


class Displaced(NamedTuple):
    """The ids of names, here as pairs, that can't have the one they want."""

    sets: tuple[tuple[str, int], ...] = ()
    services: tuple[tuple[str, int], ...] = ()
    rules: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of a policy by ids: without those that an earlier one repeats exactly.

    Attributes:
        legs: in order.
        table: the same, to be joined with those of other blocks.
        rules: the rule of each, with its id.
        members: the ids in each place of the legs.
        origins: where each rule id comes from.

    """

    legs: tuple[Leg, ...]
    table: Mapping[Leg, bool]
    rules: tuple[tuple[OrderedRule, int], ...]
    members: tuple[frozenset[int], frozenset[int], frozenset[int]]
    origins: Mapping[int, Origin]


def draft(policy: Policy) -> Draft:
    """Return a policy by names."""
    ordered = [OrderedRule(policy, rule) for rule in policy.rules]
    names = ids.rule_names(ordered)
    sets = {named.name: named.addresses for rule in policy.rules for named in (rule.src, rule.dst)}
    services = {rule.service.name: rule.service.services for rule in policy.rules}
    lines = tuple(
        (Names(src.name, dst.name, each.rule.service.name, name), each)
        for each, name in zip(ordered, names, strict=True)
        for src, dst in each.rule.directions()
    )
    return Draft(
        sets,
        services,
        lines,
        ids.first("set", sets),
        ids.first("service", services),
        ids.first("rule", names),
    )


def block(of: Draft, displaced: Displaced) -> Block:
    """Return a policy by ids."""
    set_ids = {**of.set_ids, **dict(displaced.sets)}
    service_ids = {**of.service_ids, **dict(displaced.services)}
    rule_ids = {**of.rule_ids, **dict(displaced.rules)}
    lines: dict[Leg, tuple[OrderedRule, int]] = {}
    for names, ordered in of.lines:
        leg = Leg(set_ids[names.src], set_ids[names.dst], service_ids[names.service])
        lines.setdefault(leg, (ordered, rule_ids[names.rule]))
    return _block_of(lines)


def without(of: Block, repeated: frozenset[Leg]) -> Block:
    """Return a block without lines that policies before it repeat exactly."""
    lines = dict(zip(of.legs, of.rules, strict=True))
    return _block_of({leg: line for leg, line in lines.items() if leg not in repeated})


def _block_of(lines: Mapping[Leg, tuple[OrderedRule, int]]) -> Block:
    origins = {
        rule_id: Origin(ordered.policy.name, ordered.rule.canonical(), ordered.rule.span)
        for ordered, rule_id in lines.values()
    }
    members = (
        frozenset(leg.src_set for leg in lines),
        frozenset(leg.dst_set for leg in lines),
        frozenset(leg.service for leg in lines),
    )
    return Block(tuple(lines), dict.fromkeys(lines, True), tuple(lines.values()), members, origins)


def entries(of: Block, numbers: Sequence[int]) -> dict[PolicyKey, PolicyEntry]:
    """Return the entries of a block whose lines have these precedences, and of their pairs."""
    rules: dict[PolicyKey, PolicyEntry] = {}
    pairs: dict[PolicyKey, PolicyEntry] = {}
    for leg, (ordered, rule_id), number in zip(of.legs, of.rules, numbers, strict=True):
        rules[PolicyKey(*leg)] = PolicyEntry(number, ordered.verdict, ordered.rule.log, rule_id)
        pair = PolicyKey(leg.src_set, leg.dst_set, PAIR_SERVICE_ID)
        if pair not in pairs or number < pairs[pair].precedence:
            pairs[pair] = PolicyEntry(number, Verdict.DENY, log=False, rule_id=DEFAULT_RULE_ID)
    return rules | pairs


def earlier(one: PolicyEntry, other: PolicyEntry) -> PolicyEntry:
    """Return what counts of a pair that several policies name: the lowest precedence it has."""
    return one if one.precedence <= other.precedence else other
