"""Lowering: a ruleset becomes an image (a pure function, I5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.compiler import containment, ids, precedence
from microseg.compiler.image import (
    DEFAULT_RULE_ID,
    PAIR_SERVICE_ID,
    Image,
    Origin,
    PolicyEntry,
    PolicyKey,
    Prefix,
)
from microseg.compiler.precedence import Leg
from microseg.policy.addresses import Family
from microseg.policy.rules import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microseg.policy.rules import NamedSet, OrderedRule, Ruleset


@dataclass(frozen=True, slots=True)
class _Line:
    """One direction of a rule with what its entry says."""

    leg: Leg
    ordered: OrderedRule
    rule_id: int


def lower(ruleset: Ruleset) -> Image:
    """Return the image of a ruleset. Limits are checked apart, in `limits`."""
    rules = ruleset.ordered()
    sets = {s.name: s for ordered in rules for s in (ordered.rule.src, ordered.rule.dst)}
    services = {ordered.rule.service.name: ordered.rule.service for ordered in rules}
    set_ids = ids.assign("set", sets)
    service_ids = ids.assign("service", services)
    rule_ids = ids.assign("rule", ids.rule_names(rules))
    lines = _lines(rules, set_ids, service_ids, rule_ids)

    ipv4 = _set_lists(sets, set_ids, Family.IPV4)
    ipv6 = _set_lists(sets, set_ids, Family.IPV6)
    by_destination, by_source = containment.of_services(
        (service_ids[name], service.services) for name, service in services.items()
    )
    overlapping_services = containment.of_ranges(
        ((service_ids[name], service.services.targets()) for name, service in services.items()),
        containment.TARGET_BITS,
    )
    numbers = precedence.of_legs(
        [line.leg for line in lines],
        [*ipv4.values(), *ipv6.values()],
        overlapping_services.values(),
    )
    return Image(
        ipv4=ipv4,
        ipv6=ipv6,
        destination_services=by_destination,
        source_services=by_source,
        rules=_entries(lines, numbers),
        default_verdict=ruleset.default_verdict(),
        default_log=ruleset.default.log,
        origins=_origins(ruleset, lines),
        set_names={set_id: name for name, set_id in set_ids.items()},
        service_names={service_id: name for name, service_id in service_ids.items()},
    )


def _lines(
    rules: Sequence[OrderedRule],
    set_ids: Mapping[str, int],
    service_ids: Mapping[str, int],
    rule_ids: Mapping[str, int],
) -> list[_Line]:
    """Return the directions of all rules, in order, without those an earlier one repeats exactly."""
    lines: dict[Leg, _Line] = {}
    for ordered, name in zip(rules, ids.rule_names(rules), strict=True):
        service_id = service_ids[ordered.rule.service.name]
        for src, dst in ordered.rule.directions():
            leg = Leg(set_ids[src.name], set_ids[dst.name], service_id)
            lines.setdefault(leg, _Line(leg, ordered, rule_ids[name]))
    return list(lines.values())


def _set_lists(
    sets: Mapping[str, NamedSet], set_ids: Mapping[str, int], family: Family
) -> dict[Prefix, tuple[int, ...]]:
    members = ((set_ids[name], named.addresses.family(family)) for name, named in sets.items())
    return containment.of_ranges(members, family.bits)


def _entries(lines: Sequence[_Line], numbers: Sequence[int]) -> dict[PolicyKey, PolicyEntry]:
    """Return the entry of each line, and one for each pair of sets with the lowest precedence it has."""
    entries: dict[PolicyKey, PolicyEntry] = {}
    for line, number in zip(lines, numbers, strict=True):
        leg = line.leg
        entry = PolicyEntry(number, line.ordered.verdict, line.ordered.rule.log, line.rule_id)
        entries[PolicyKey(leg.src_set, leg.dst_set, leg.service)] = entry
        pair = PolicyKey(leg.src_set, leg.dst_set, PAIR_SERVICE_ID)
        if pair not in entries or number < entries[pair].precedence:
            entries[pair] = PolicyEntry(number, Verdict.DENY, log=False, rule_id=DEFAULT_RULE_ID)
    return entries


def _origins(ruleset: Ruleset, lines: Sequence[_Line]) -> dict[int, Origin]:
    default = ruleset.default
    text = f"default {default.action.value}" if default.span else "default deny (nothing else is written)"
    origins = {DEFAULT_RULE_ID: Origin("", text, default.span)}
    for line in lines:
        rule = line.ordered.rule
        origins[line.rule_id] = Origin(line.ordered.policy.name, rule.canonical(), rule.span)
    return origins
