"""What the kernel enforces, as rules again: read back from the entries of a slot.

The entries say all that a policy means: which addresses each set has, which packets each service, and which
rule comes first where two meet. So a plan compares meanings with what is really there, whoever wrote it; the
records only lend names and places.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from microseg import abi
from microseg.abi import Axis, EntryFlag, PolicyMap, SlotFlag
from microseg.compiler import containment, precedence
from microseg.compiler.containment import TARGET_BITS
from microseg.compiler.image import PAIR_SERVICE_ID, PolicyKey
from microseg.compiler.precedence import Leg
from microseg.policy import ranges
from microseg.policy.addresses import NO_ADDRESSES, AddressSet, Family
from microseg.policy.rules import (
    Action,
    Default,
    Mode,
    NamedService,
    NamedSet,
    Policy,
    Rule,
    Ruleset,
    Verdict,
)
from microseg.policy.services import HIGHEST_PORT, NO_SERVICE, ServiceSet, Slab, union
from microseg.reconcile.records import Attribution
from microseg.sections import in_one
from microseg.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from microseg.abi import Entries, SlotContents
    from microseg.compiler.image import Prefix
    from microseg.policy.ranges import Range
    from microseg.reconcile.observed import Observed
    from microseg.reconcile.records import Names

EVERYTHING_PASSES = Ruleset(default=Default(Action.ALLOW))
"""What is enforced when no policy is in force."""

NOTHING_PASSES = Ruleset()
"""What is enforced when the slot in force isn't of the generation in force."""

_FAMILIES = {PolicyMap.IPCACHE4: Family.IPV4, PolicyMap.IPCACHE6: Family.IPV6}

_SAID = {
    Verdict.ALLOW: (Action.ALLOW, Mode.ENFORCE),
    Verdict.DENY: (Action.DENY, Mode.ENFORCE),
    Verdict.REJECT: (Action.REJECT, Mode.ENFORCE),
    Verdict.AUDIT: (Action.DENY, Mode.AUDIT),
}
"""What is written to get each verdict."""


class _Line(NamedTuple):
    """A rule's entry, as the kernel has it."""

    precedence: int
    leg: Leg
    rule_id: int
    verdict: Verdict
    log: bool


def ruleset_in_force(observed: Observed, live: SlotContents, names: Names) -> Ruleset:
    """Return what judges packets now; names are what the entries' numbers mean, as far as it is known."""
    if not observed.generation:
        return EVERYTHING_PASSES
    return ruleset_of(live, names) if observed.judges else NOTHING_PASSES


def ruleset_of(contents: SlotContents, names: Names) -> Ruleset:
    """Return rules that decide every packet as the entries do.

    In the order of the names' rules if these entries are what that order compiles to, else by precedence:
    then rules that share no packet may have changed places.
    """
    lists = {name: _set_lists(contents.maps[name], name) for name in _FAMILIES}
    sets = _sets(lists, names)
    services = _services(contents, names)
    by_precedence = _lines(contents.maps[PolicyMap.POLICY])
    as_written = _as_written(by_precedence, names)
    address_lists = [ids for blocks in lists.values() for ids in blocks.values()]
    if _numbers(as_written, address_lists, services) == [line.precedence for line in as_written]:
        return _ruleset(contents, as_written, sets, services, names)
    return _ruleset(contents, by_precedence, sets, services, names)


def _set_lists(entries: Entries, name: PolicyMap) -> dict[Prefix, tuple[int, ...]]:
    return {abi.decode_prefix(name, key): abi.decode_set_list(value) for key, value in entries.items()}


def _sets(lists: Mapping[PolicyMap, Mapping[Prefix, tuple[int, ...]]], names: Names) -> dict[int, NamedSet]:
    """Return the sets by id: an address is in those that the longest prefix around it lists."""
    found: dict[Family, dict[int, list[Range]]] = {family: defaultdict(list) for family in Family}
    for name, family in _FAMILIES.items():
        for low_high, ids in containment.pieces(lists[name], family.bits):
            for set_id in ids:
                found[family][set_id].append(low_high)
    return {
        set_id: NamedSet(
            _name(set_id, names.sets),
            AddressSet(*(ranges.normalize(found[family].get(set_id, ())) for family in Family)),
        )
        for set_id in sorted(set().union(*found.values()))
    }


def _services(contents: SlotContents, names: Names) -> dict[int, NamedService]:
    """Return the services by id."""
    tables: dict[Axis, dict[Prefix, bytes]] = {axis: {} for axis in Axis}
    for key, value in contents.maps[PolicyMap.SERVICE].items():
        axis, prefix = abi.decode_service_key(key)
        tables[axis][prefix] = value
    if not contents.config.slot_flags & SlotFlag.HAS_SOURCE_PORTS:
        tables[Axis.SOURCE] = {}
    targets: defaultdict[int, defaultdict[Range, list[Range]]] = defaultdict(lambda: defaultdict(list))
    for axis, table in tables.items():
        for block, value in containment.pieces(table, TARGET_BITS):
            for element in abi.decode_service_list(value):
                other = element.low, element.high
                pieces = [(other, block)] if axis is Axis.DESTINATION else _turned(block, other)
                for sources, target in pieces:
                    targets[element.service_id][sources].append(target)
    return {
        service_id: NamedService(_name(service_id, names.services), union(map(_service, found.items())))
        for service_id, found in sorted(targets.items())
    }


def _service(sources_and_targets: tuple[Range, list[Range]]) -> ServiceSet:
    (low, high), targets = sources_and_targets
    return ServiceSet((Slab(low, high, ranges.normalize(targets)),))


def _turned(block: Range, ports: Range) -> Iterator[tuple[Range, Range]]:
    """Yield source ports and targets of a block of protocol << 16 | source port, for destination ports."""
    for protocol in range(block[0] >> 16, (block[1] >> 16) + 1):
        first = protocol << 16
        sources = max(block[0] - first, 0), min(block[1] - first, HIGHEST_PORT)
        yield sources, (first | ports[0], first | ports[1])


def _lines(entries: Entries) -> list[_Line]:
    """Return the rules' entries in the order they are considered; without its pair's none is looked at."""
    keys = {PolicyKey(*abi.decode_policy_key(key)): value for key, value in entries.items()}
    found = []
    for key, value in keys.items():
        if key.service == PAIR_SERVICE_ID or key._replace(service=PAIR_SERVICE_ID) not in keys:
            continue
        number, rule_id, verdict, flags = abi.decode_policy_value(value)
        log = bool(flags & EntryFlag.LOG)
        found.append(_Line(number, Leg(*key), rule_id, _verdict(verdict), log))
    return sorted(found, key=lambda line: (line.precedence, line.leg.src_set, line.leg.dst_set))


def _verdict(number: int) -> Verdict:
    """Return a verdict; the program denies what it doesn't know (I6)."""
    return Verdict(number) if number in set(Verdict) else Verdict.DENY


def _as_written(lines: Sequence[_Line], names: Names) -> list[_Line]:
    """Return the lines in the order of the names' rules, unknown ones last."""
    place = {rule_id: at for at, rule_id in enumerate(names.rules)}
    return sorted(lines, key=lambda line: (place.get(line.rule_id, len(place)), line.precedence))


def _numbers(
    lines: Sequence[_Line], address_lists: list[tuple[int, ...]], services: Mapping[int, NamedService]
) -> list[int]:
    """Return the precedences the compiler gives to lines in this order."""
    targets = ((service_id, named.services.targets()) for service_id, named in services.items())
    service_lists = containment.of_ranges(targets, TARGET_BITS).values()
    meeting = precedence.meets(address_lists), precedence.meets(service_lists)
    return precedence.of_legs([line.leg for line in lines], *meeting)


def _ruleset(
    contents: SlotContents,
    lines: Sequence[_Line],
    sets: Mapping[int, NamedSet],
    services: Mapping[int, NamedService],
    names: Names,
) -> Ruleset:
    written, rules = in_one(names.rules), list[tuple[str, Mode, Rule]]()
    for line in lines:
        known = written.get(line.rule_id) or Attribution("", "")
        action, mode = _SAID[line.verdict]
        src, dst = (
            sets.get(set_id) or NamedSet(_name(set_id, names.sets), NO_ADDRESSES)
            for set_id in (line.leg.src_set, line.leg.dst_set)
        )
        service_id = line.leg.service
        service = services.get(service_id) or NamedService(_name(service_id, names.services), NO_SERVICE)
        rules.append((known.policy, mode, Rule(action, src, dst, service, _span(known), log=line.log)))
    policies = [
        Policy(name, _span(Attribution(name, "")), tuple(rule for _, _, rule in mine), at, mode)
        for at, ((name, mode), mine) in enumerate(groupby(rules, key=lambda each: each[:2]))
    ]
    config = contents.config
    action, mode = _SAID[config.default_verdict or Verdict.DENY]
    of_default = written.get(0)
    log = bool(config.default_flags & EntryFlag.LOG)
    default = Default(action, log, _span(of_default) if of_default else None)
    return Ruleset(tuple(policies), default, audit_all=mode is Mode.AUDIT)


def _name(number: int, names: Mapping[int, str]) -> str:
    return names.get(number, f"#{number:08x}")


def _span(known: Attribution) -> Span:
    return Span(known.path, known.line, 1, known.line, 1)
