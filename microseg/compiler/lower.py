"""Lowering: a ruleset becomes an image (a pure function, I5)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from microseg.compiler import containment, drafts, ids, numbering
from microseg.compiler.drafts import Displaced
from microseg.compiler.image import DEFAULT_RULE_ID, Image, Origin
from microseg.compiler.memory import Memory
from microseg.compiler.numbering import Meeting
from microseg.policy.addresses import Family

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microseg.compiler.containment import Lists, ServiceTables
    from microseg.compiler.drafts import Block, Draft
    from microseg.compiler.image import PolicyEntry, PolicyKey, Prefix
    from microseg.compiler.precedence import Leg
    from microseg.policy.addresses import AddressSet
    from microseg.policy.rules import Ruleset
    from microseg.policy.services import ServiceSet

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class SetTables(NamedTuple):
    """Which sets contain each block of addresses, and which sets have an address in common."""

    ipv4: Mapping[Prefix, tuple[int, ...]]
    ipv6: Mapping[Prefix, tuple[int, ...]]
    together: Lists


def lower(ruleset: Ruleset, memory: Memory | None = None) -> Image:
    """Return the image of a ruleset. Limits are checked apart, in `limits`."""
    memory = memory or Memory()
    policies = ruleset.in_order()
    written = [memory.drafts.of(partial(drafts.draft, policy), (policy,)) for policy in policies]
    sets: dict[str, AddressSet] = _joined([each.sets for each in written])
    services: dict[str, ServiceSet] = _joined([each.services for each in written])
    displaced = _displaced(written)
    set_ids = _joined([each.set_ids for each in written]) | dict(displaced.sets)
    service_ids = _joined([each.service_ids for each in written]) | dict(displaced.services)
    blocks = _blocks(written, displaced, memory)
    of_sets = memory.set_tables.of(partial(_set_tables, sets, set_ids, memory), (sets, set_ids))
    of_services = memory.service_tables.of(
        partial(_service_tables, services, service_ids, memory), (services, service_ids)
    )
    meeting = Meeting(of_sets.together, of_services.together)
    return Image(
        ipv4=of_sets.ipv4,
        ipv6=of_sets.ipv6,
        destination_services=of_services.by_destination,
        source_services=of_services.by_source,
        rules=_entries(blocks, numbering.number(blocks, meeting, memory.numbers), memory),
        default_verdict=ruleset.default_verdict(),
        default_log=ruleset.default.log,
        origins={DEFAULT_RULE_ID: _origin(ruleset)} | _joined([each.origins for each in blocks]),
        set_names={set_id: name for name, set_id in set_ids.items()},
        service_names={service_id: name for name, service_id in service_ids.items()},
    )


def _displaced(written: Sequence[Draft]) -> Displaced:
    """Return the names of all policies that can't have the id they want."""
    wanted = {
        "set": [each.set_ids for each in written],
        "service": [each.service_ids for each in written],
        "rule": [each.rule_ids for each in written],
    }
    return Displaced(*(tuple(ids.settle(kind, _joined(parts)).items()) for kind, parts in wanted.items()))


def _joined(parts: Sequence[Mapping[_Key, _Value]]) -> dict[_Key, _Value]:
    found: dict[_Key, _Value] = {}
    for part in parts:
        found.update(part)
    return found


def _blocks(written: Sequence[Draft], displaced: Displaced, memory: Memory) -> list[Block]:
    """Return the policies by ids, without lines that earlier ones repeat exactly."""
    blocks: list[Block] = []
    seen: set[Leg] = set()
    for each in written:
        block = memory.blocks.of(partial(drafts.block, each, displaced), (each,), displaced)
        if not seen.isdisjoint(block.legs):
            repeated = frozenset(seen.intersection(block.legs))
            block = memory.blocks.of(partial(drafts.without, block, repeated), (block,), repeated)
        seen.update(block.legs)
        blocks.append(block)
    return blocks


def _set_tables(
    sets: Mapping[str, AddressSet], set_ids: Mapping[str, int], memory: Memory, before: SetTables | None
) -> SetTables:
    last: SetTables = before or SetTables({}, {}, frozenset())
    tables = []
    for family, table in ((Family.IPV4, last.ipv4), (Family.IPV6, last.ipv6)):
        placed = (
            (set_ids[name], memory.blocks_of_sets.of(partial(_blocks_of, each, family), (each,), family))
            for name, each in sets.items()
        )
        tables.append(containment.of_blocks(placed, family.bits, table))
    ipv4, ipv6 = tables
    return SetTables(ipv4, ipv6, containment.several((*ipv4.values(), *ipv6.values())))


def _blocks_of(addresses: AddressSet, family: Family) -> tuple[Prefix, ...]:
    return containment.blocks(addresses.family(family), family.bits)


def _service_tables(
    services: Mapping[str, ServiceSet],
    service_ids: Mapping[str, int],
    memory: Memory,
    before: ServiceTables | None,
) -> ServiceTables:
    placed = {
        number: memory.placed.of(
            partial(containment.place, number, services[name]), (services[name],), number
        )
        for name, number in service_ids.items()
    }
    return containment.of_services(placed, before)


def _entries(
    blocks: Sequence[Block], numbers: Sequence[tuple[int, ...]], memory: Memory
) -> dict[PolicyKey, PolicyEntry]:
    """Return the entries of all lines; of a pair of sets that several policies name, the lowest."""
    rules: dict[PolicyKey, PolicyEntry] = {}
    pairs: dict[PolicyKey, PolicyEntry] = {}
    for block, of_block in zip(blocks, numbers, strict=True):
        found = memory.entries.of(partial(drafts.entries, block, of_block), (block, of_block))
        rules.update(found.rules)
        lower = {
            pair: pairs[pair]
            for pair in pairs.keys() & found.pairs.keys()
            if pairs[pair].precedence <= found.pairs[pair].precedence
        }
        pairs.update(found.pairs)
        pairs.update(lower)
    return rules | pairs


def _origin(ruleset: Ruleset) -> Origin:
    default = ruleset.default
    text = f"default {default.action.value}" if default.span else "default deny (nothing else is written)"
    return Origin("", text, default.span)
