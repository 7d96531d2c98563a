"""Rules that allow a great deal: from or to most of the world, on most ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.analysis.taste import OpenSide
from microseg.policy import ranges
from microseg.policy.addresses import AddressSet, Family
from microseg.policy.rules import Action
from microseg.policy.services import HIGHEST_PORT, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from microseg.policy.rules import OrderedRule, Rule
    from microseg.policy.services import ServiceSet

_PORTED = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)


@dataclass(frozen=True, slots=True)
class Broad:
    """A rule that allows with these sides open."""

    rule: OrderedRule
    sides: tuple[OpenSide, ...]


def find(rules: Iterable[OrderedRule], too_open: Collection[OpenSide]) -> list[Broad]:
    """Return the rules that allow with all of these sides open; none for no sides."""
    found: list[Broad] = []
    for ordered in rules:
        if ordered.rule.action is Action.ALLOW:
            sides = _sides(ordered.rule)
            if too_open and set(too_open) <= set(sides):
                found.append(Broad(ordered, sides))
    return found


def _sides(rule: Rule) -> tuple[OpenSide, ...]:
    """Return the open sides of a rule; none for ICMP alone, which everybody may be allowed to send."""
    targets = rule.service.services.targets()
    if not any(_ports(targets, protocol) for protocol in _PORTED):
        return ()
    found = []
    if _is_open(rule.src.addresses):
        found.append(OpenSide.SOURCE)
    if _is_open(rule.dst.addresses):
        found.append(OpenSide.DESTINATION)
    if _is_open_service(rule.service.services):
        found.append(OpenSide.SERVICE)
    return tuple(found)


def _is_open(addresses: AddressSet) -> bool:
    return any(ranges.size(addresses.family(family)) * 2 >= 1 << family.bits for family in Family)


def _is_open_service(service: ServiceSet) -> bool:
    targets = service.targets()
    return any(_ports(targets, protocol) * 2 > HIGHEST_PORT for protocol in _PORTED)


def _ports(targets: ranges.Ranges, protocol: Protocol) -> int:
    """Return how many destination ports of a protocol there are among targets."""
    return ranges.size(ranges.intersection(targets, ((protocol << 16, protocol << 16 | HIGHEST_PORT),)))
