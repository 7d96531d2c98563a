"""Lowering: a ruleset becomes an image (a pure function, I5)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from microseg.compiler import drafts, ids, numbering
from microseg.compiler.drafts import Displaced
from microseg.compiler.image import DEFAULT_RULE_ID, Image, Origin
from microseg.compiler.memory import ById, Memory
from microseg.compiler.numbering import Meeting
from microseg.sections import Sections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microseg.compiler.drafts import Block, Draft
    from microseg.compiler.image import PolicyEntry, PolicyKey
    from microseg.compiler.precedence import Leg
    from microseg.policy.rules import Ruleset

Value = TypeVar("Value")


def lower(ruleset: Ruleset, memory: Memory | None = None) -> Image:
    """Return the image of a ruleset. Limits are checked apart, in `limits`."""
    memory = memory or Memory()
    policies = ruleset.in_order()
    written = memory.drafts.of(policies, drafts.draft)
    joined = memory.joined
    sets = joined.sets.of([each.sets for each in written])
    services = joined.services.of([each.services for each in written])
    set_ids = joined.set_ids.of([each.set_ids for each in written])
    service_ids = joined.service_ids.of([each.service_ids for each in written])
    rule_ids = joined.rule_ids.of([each.rule_ids for each in written])
    displaced = _displaced(set_ids, service_ids, rule_ids)
    set_ids = set_ids.changed(dict(displaced.sets))
    service_ids = service_ids.changed(dict(displaced.services))
    blocks = _blocks(written, displaced, memory)
    by_set_id = memory.set_numbers.of(partial(_by_id, sets, set_ids), (sets, set_ids))
    by_service_id = memory.service_numbers.of(partial(_by_id, services, service_ids), (services, service_ids))
    of_sets = memory.set_tables.of(by_set_id.values)
    of_services = memory.service_tables.of(by_service_id.values)
    meeting = Meeting(of_sets.together, of_services.together)
    return Image(
        ipv4=of_sets.ipv4,
        ipv6=of_sets.ipv6,
        destination_services=of_services.by_destination,
        source_services=of_services.by_source,
        rules=joined.rules.of(_entries(blocks, numbering.number(blocks, meeting, memory.numbering), memory)),
        default_verdict=ruleset.default_verdict(),
        default_log=ruleset.default.log,
        origins=_origins(ruleset, blocks),
        set_names=by_set_id.names,
        service_names=by_service_id.names,
    )


def _by_id(values: Mapping[str, Value], ids: Mapping[str, int]) -> ById[Value]:
    names = {number: name for name, number in ids.items()}
    return ById({number: values[name] for number, name in names.items()}, names)


def _displaced(
    set_ids: Mapping[str, int], service_ids: Mapping[str, int], rule_ids: Mapping[str, int]
) -> Displaced:
    """Return the names of all policies that can't have the id they want."""
    wanted = {"set": set_ids, "service": service_ids, "rule": rule_ids}
    return Displaced(*(tuple(ids.settle(kind, names).items()) for kind, names in wanted.items()))


def _blocks(written: Sequence[Draft], displaced: Displaced, memory: Memory) -> Sequence[Block]:
    """Return the policies by ids, without lines that earlier ones repeat exactly."""
    blocks = memory.blocks.of(written, partial(drafts.block, displaced=displaced), displaced)
    every = memory.joined.legs.of([block.table for block in blocks])
    if len(every) == sum(len(block.legs) for block in blocks):
        return blocks
    return _without_repeated(blocks, memory)


def _without_repeated(blocks: Sequence[Block], memory: Memory) -> list[Block]:
    kept: list[Block] = []
    seen: set[Leg] = set()
    for block in blocks:
        repeated = frozenset(seen.intersection(block.legs))
        if repeated:
            make = partial(drafts.without, block, repeated)
            kept.append(memory.shortened.of(make, (block,), repeated))
        else:
            kept.append(block)
        seen.update(block.legs)
    return kept


def _entries(
    blocks: Sequence[Block], numbers: Sequence[tuple[int, ...]], memory: Memory
) -> list[Mapping[PolicyKey, PolicyEntry]]:
    """Return the entries of each block."""
    return [
        memory.entries.of(partial(drafts.entries, block, of_block), (block, of_block))
        for block, of_block in zip(blocks, numbers, strict=True)
    ]


def _origins(ruleset: Ruleset, blocks: Sequence[Block]) -> Sections[int, Origin]:
    return Sections(({DEFAULT_RULE_ID: _origin(ruleset)}, *(block.origins for block in blocks)))


def _origin(ruleset: Ruleset) -> Origin:
    default = ruleset.default
    text = f"default {default.action.value}" if default.span else "default deny (nothing else is written)"
    return Origin("", text, default.span)
