"""Rules that can never match because one earlier rule of their policy matches all they could.

An earlier rule covers a later one when its source, destination and service each contain the later one's and
it doesn't expire before. Which sets contain which is worked out once for all sets of the policy; the search
of a rule then is the one the kernel does for a packet: the sets around its source times those around its
destination times the services around its service.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

from microseg.compiler import containment
from microseg.compiler.containment import TARGET_BITS
from microseg.compiler.image import Prefix
from microseg.diagnostics import Code, Diagnostic, Label
from microseg.policy import ranges
from microseg.policy.addresses import Family

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microseg.policy.ranges import Ranges
    from microseg.policy.rules import NamedService, NamedSet, Policy, Rule

Containing: TypeAlias = "Mapping[str, frozenset[str]]"
"""The names of all sets that contain the one of this name, itself among them."""

Key: TypeAlias = tuple[str, str, str]
"""Names of source, destination and service."""


def find(policy: Policy) -> list[Diagnostic]:
    """Return a warning for each rule that one earlier rule of the policy leaves nothing to decide."""
    rules = [rule for rule in policy.rules if _can_match(rule)]
    sets = _containing_sets({each.name: each for rule in rules for each in (rule.src, rule.dst)})
    services = _containing_services({rule.service.name: rule.service for rule in rules})
    earlier: defaultdict[Key, list[int]] = defaultdict(list)
    found: list[Diagnostic] = []
    for number, rule in enumerate(rules):
        keys = [(src.name, dst.name, rule.service.name) for src, dst in rule.directions()]
        covering = set.intersection(
            *(
                {before for around in _around(key, earlier, sets, services) for before in earlier[around]}
                for key in keys
            )
        )
        lasting = [before for before in covering if _lasts(rules[before], rule)]
        if lasting:
            found.append(_warning(rules[min(lasting)], rule))
        for key in keys:
            earlier[key].append(number)
    return found


def _around(key: Key, earlier: Mapping[Key, list[int]], sets: Containing, services: Containing) -> list[Key]:
    """Return the keys of earlier rules that contain a key, by the shorter of two ways."""
    src, dst, service = sets[key[0]], sets[key[1]], services[key[2]]
    if len(src) * len(dst) * len(service) <= len(earlier):
        return [each for each in product(src, dst, service) if each in earlier]
    return [each for each in earlier if each[0] in src and each[1] in dst and each[2] in service]


def _lasts(before: Rule, rule: Rule) -> bool:
    """Say whether the earlier rule is valid as long as the later one."""
    return before.expires is None or (rule.expires is not None and rule.expires <= before.expires)


def _can_match(rule: Rule) -> bool:
    return any(rule.src.addresses.family(family) and rule.dst.addresses.family(family) for family in Family)


def _containing_sets(named: Mapping[str, NamedSet]) -> Containing:
    by_family = [
        _containing({name: each.addresses.family(family) for name, each in named.items()}, family.bits)
        for family in Family
    ]
    return {name: frozenset.intersection(*(containing[name] for containing in by_family)) for name in named}


def _containing_services(named: Mapping[str, NamedService]) -> Containing:
    targets = {
        name: ranges.union(*(slab.targets for slab in each.services.slabs)) for name, each in named.items()
    }
    candidates = _containing(targets, TARGET_BITS)
    return {
        name: frozenset(other for other in candidates[name] if each.services <= named[other].services)
        for name, each in named.items()
    }


def _containing(named: Mapping[str, Ranges], bits: int) -> Containing:
    """Return the containing sets among sets of bits-wide numbers; all contain an empty one."""
    names = list(named)
    table = containment.of_ranges(enumerate(named.values()), bits)
    everything = frozenset(names)
    containing: dict[str, frozenset[str]] = {}
    for name, numbers in named.items():
        around = [frozenset(table[Prefix(*block)]) for block in ranges.prefixes(numbers, bits)]
        ids = frozenset.intersection(*around) if around else None
        containing[name] = everything if ids is None else frozenset(names[each] for each in ids)
    return containing


def _warning(before: Rule, rule: Rule) -> Diagnostic:
    same = all(
        mine.name == theirs.name
        for mine, theirs in ((rule.src, before.src), (rule.dst, before.dst), (rule.service, before.service))
    )
    if same and rule.action is before.action and rule.both_ways is before.both_ways:
        return Diagnostic.of(
            Code.DUPLICATE_RULE,
            rule.span,
            "this rule stands here twice",
            Label(before.span, "here for the first time"),
            help="delete one of them",
        )
    advice = (
        "delete it"
        if rule.action is before.action
        else f"move it above line {before.span.line}, or delete it"
    )
    return Diagnostic.of(
        Code.SHADOWED_RULE,
        rule.span,
        "this rule never matches: an earlier rule decides every packet it could",
        Label(before.span, f"this one says {before.action.value} to all of them"),
        help=advice,
    )
