"""Rules that allow a great deal: from or to most of the world, on most ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

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
        rule = ordered.rule
        if rule.action is not Action.ALLOW or not too_open:
            continue
        if all(_is_open(rule, side) for side in too_open) and _has_ports(rule.service.services):
            sides = tuple(side for side in OpenSide if _is_open(rule, side))
            found.append(Broad(ordered, sides))
    return found


def _is_open(rule: Rule, side: OpenSide) -> bool:
    match side:
        case OpenSide.SOURCE:
            return _is_wide(rule.src.addresses)
        case OpenSide.DESTINATION:
            return _is_wide(rule.dst.addresses)
        case OpenSide.SERVICE:
            return _is_open_service(rule.service.services)
        case _ as never:
            assert_never(never)


def _has_ports(service: ServiceSet) -> bool:
    """Say whether it is more than ICMP, which everybody may be allowed to send."""
    targets = service.targets()
    return any(_ports(targets, protocol) for protocol in _PORTED)


def _is_wide(addresses: AddressSet) -> bool:
    return any(ranges.size(addresses.family(family)) * 2 >= 1 << family.bits for family in Family)


def _is_open_service(service: ServiceSet) -> bool:
    targets = service.targets()
    return any(_ports(targets, protocol) * 2 > HIGHEST_PORT for protocol in _PORTED)


def _ports(targets: ranges.Ranges, protocol: Protocol) -> int:
    """Return how many destination ports of a protocol there are among targets."""
    return ranges.size(ranges.intersection(targets, ((protocol << 16, protocol << 16 | HIGHEST_PORT),)))
