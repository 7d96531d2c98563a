"""What fits: every limit of the kernel side, checked before the kernel is touched (I6: never truncated)."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from microseg.abi import MAX_PROBES, MAX_SERVICES, MAX_SETS, PolicyMap
from microseg.compiler.containment import TARGET_BITS
from microseg.compiler.image import PAIR_SERVICE_ID
from microseg.diagnostics import Code, Diagnostic, Label
from microseg.policy.addresses import Family
from microseg.policy.services import HIGHEST_PORT, Protocol
from microseg.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from microseg.compiler.image import Image, Prefix
    from microseg.policy.rules import Ruleset

Member = TypeVar("Member")

SHOWN = 20
"""Names listed in a message before it says how many more there are."""

MERGE_GROUPS = "name one group that is the union of some of these, and use it in the rules instead"
MERGE_SERVICES = "name one service that is the union of some of these, and use it in the rules instead"

SIZING_KEYS = {
    PolicyMap.IPCACHE4: "addresses",
    PolicyMap.IPCACHE6: "addresses",
    PolicyMap.SERVICE: "services",
    PolicyMap.POLICY: "rules",
}
"""Where microseg.toml sizes each map, under [maps]."""


def check(
    ruleset: Ruleset, image: Image, capacities: Mapping[PolicyMap, int] | None = None
) -> list[Diagnostic]:
    """Return what keeps the image from fitting the kernel side.

    Args:
        ruleset: what the image was lowered from, for the places to name.
        image: to be checked.
        capacities: entries each map can hold; None leaves them unchecked.

    """
    places = _Places(ruleset)
    found = [*_sets(image, places), *_services(image, places)]
    if not found:
        found += _search(image, places)
    if capacities is not None:
        found += _capacity(image, capacities, places)
    return found


class _Places:
    """Where the sets and services of a ruleset are first used."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset

    @cached_property
    def sets(self) -> Mapping[str, Span]:
        """The first use of each set."""
        found: dict[str, Span] = {}
        for policy in self._ruleset.policies:
            for rule in policy.rules:
                for named in (rule.src, rule.dst):
                    found.setdefault(named.name, rule.span)
        return found

    @cached_property
    def services(self) -> Mapping[str, Span]:
        """The first use of each service."""
        found: dict[str, Span] = {}
        for policy in self._ruleset.policies:
            for rule in policy.rules:
                found.setdefault(rule.service.name, rule.span)
        return found

    def latest(self, places: Mapping[str, Span], names: Iterable[str]) -> Span:
        """Return the last place at which one of the names comes into use."""
        return max(places[name] for name in names)

    def labels(self, places: Mapping[str, Span], names: Iterable[str], at: Span) -> tuple[Label, ...]:
        """Return labels for the first uses of three of the names, other than the place itself."""
        others = [name for name in names if places[name] != at]
        return tuple(Label(places[name], f"`{name}` comes into use here") for name in others[:3])

    def anywhere(self) -> Span:
        """Return the place to show for what concerns the whole policy."""
        return min(self.sets.values(), default=Span.of_file("policies.d"))


def _sets(image: Image, places: _Places) -> list[Diagnostic]:
    """One diagnostic for each combination of sets that is too long."""
    found: list[Diagnostic] = []
    for family, table in ((Family.IPV4, image.ipv4), (Family.IPV6, image.ipv6)):
        for block, ids in _longest(table, MAX_SETS):
            names = sorted(image.set_names[set_id] for set_id in ids)
            at = places.latest(places.sets, names)
            found.append(
                Diagnostic.of(
                    Code.TOO_MANY_SETS,
                    at,
                    f"{len(names)} sets contain {family.network(*block)}, "
                    f"at most {MAX_SETS} can: {_list(names)}",
                    *places.labels(places.sets, names, at),
                    help=MERGE_GROUPS,
                )
            )
    return found


def _services(image: Image, places: _Places) -> list[Diagnostic]:
    """One diagnostic for each combination of services that is too long."""
    found: list[Diagnostic] = []
    for table in (image.destination_services, image.source_services):
        for block, elements in _longest(table, MAX_SERVICES):
            names = sorted({image.service_names[element.service_id] for element in elements})
            at = places.latest(places.services, names)
            found.append(
                Diagnostic.of(
                    Code.TOO_MANY_SERVICES,
                    at,
                    f"{len(elements)} services and source port ranges contain {_target(block)}, "
                    f"at most {MAX_SERVICES} can: {_list(names)}",
                    *places.labels(places.services, names, at),
                    help=MERGE_SERVICES,
                )
            )
    return found


def _longest(
    table: Mapping[Prefix, tuple[Member, ...]], limit: int
) -> list[tuple[Prefix, tuple[Member, ...]]]:
    """Return the lists over the limit with their first block, without those that a longer one includes."""
    if max(map(len, table.values()), default=0) <= limit:
        return []
    too_long = [(block, members) for block, members in table.items() if len(members) > limit]
    kept: list[tuple[Prefix, tuple[Member, ...]]] = []
    for block, members in sorted(too_long, key=lambda row: (-len(row[1]), row[0])):
        if not any(set(members) <= set(longer) for _, longer in kept):
            kept.append((block, members))
    return kept


def _search(image: Image, places: _Places) -> list[Diagnostic]:
    """Bound the probes of the worst packet; one diagnostic for the worst combination that is too long."""
    probes, ids = max(_long_searches(image, image.ipv4), _long_searches(image, image.ipv6))
    if probes <= MAX_PROBES:
        return []
    names = sorted(image.set_names[set_id] for set_id in set(ids))
    at = places.latest(places.sets, names)
    return [
        Diagnostic.of(
            Code.SEARCH_TOO_LONG,
            at,
            f"judging one packet could take {probes} probes, at most {MAX_PROBES} are allowed; "
            f"the sets that meet: {_list(names)}",
            *places.labels(places.sets, names, at),
            help="use fewer overlapping groups or services in the rules, for instance unions under one name",
        )
    ]


def _long_searches(image: Image, table: Mapping[Prefix, tuple[int, ...]]) -> tuple[int, tuple[int, ...]]:
    """Return the most probes a packet of one family can take and its sets; (0, ()) if clearly few enough."""
    services = max(map(len, image.destination_services.values()), default=0)
    services += max(map(len, image.source_services.values()), default=0)
    longest = max(map(len, table.values()), default=0)
    if longest * longest * (1 + services) <= MAX_PROBES:
        return 0, ()
    lists = set(table.values())
    destinations: defaultdict[int, set[int]] = defaultdict(set)
    for key in image.rules:
        if key.service == PAIR_SERVICE_ID:
            destinations[key.src_set].add(key.dst_set)
    worst: tuple[int, tuple[int, ...]] = (0, ())
    for src in lists:
        if len(src) * longest * (1 + services) <= MAX_PROBES:
            continue
        pairs = Counter(dst_set for src_set in src for dst_set in destinations[src_set])
        most_pairs = sum(count for _, count in pairs.most_common(longest))
        if len(src) * longest + services * most_pairs <= MAX_PROBES:
            continue
        for dst in lists:
            probes = len(src) * len(dst) + services * sum(pairs[dst_set] for dst_set in dst)
            worst = max(worst, (probes, (*src, *dst)))
    return worst


def _capacity(image: Image, capacities: Mapping[PolicyMap, int], places: _Places) -> list[Diagnostic]:
    needed = {
        PolicyMap.IPCACHE4: len(image.ipv4),
        PolicyMap.IPCACHE6: len(image.ipv6),
        PolicyMap.SERVICE: len(image.destination_services) + len(image.source_services),
        PolicyMap.POLICY: len(image.rules),
    }
    return [
        Diagnostic.of(
            Code.MAP_TOO_SMALL,
            places.anywhere(),
            f"the policy needs {needed[name]} entries of the kernel map {name.value}, which holds "
            f"{capacities[name]}; most of them come from {_list(contributors(image, name))}",
            help=f"set `{SIZING_KEYS[name]} = {_roomy(needed[name])}` under [maps] in microseg.toml, "
            "or write the policy with fewer sets",
        )
        for name in PolicyMap
        if needed[name] > capacities[name]
    ]


def contributors(image: Image, name: PolicyMap) -> list[str]:
    """Return what needs the most entries of a map, with how many, most first."""
    counts: Counter[str] = Counter()
    match name:
        case PolicyMap.IPCACHE4 | PolicyMap.IPCACHE6:
            table = image.ipv4 if name is PolicyMap.IPCACHE4 else image.ipv6
            counts.update(image.set_names[set_id] for ids in table.values() for set_id in ids)
        case PolicyMap.SERVICE:
            lists = (*image.destination_services.values(), *image.source_services.values())
            counts.update(image.service_names[element.service_id] for row in lists for element in row)
        case PolicyMap.POLICY:
            counts.update(
                f"policy {image.origins[entry.rule_id].policy}"
                for entry in image.rules.values()
                if entry.rule_id
            )
    return [f"{what} ({count})" for what, count in counts.most_common(3)]


def _roomy(needed: int) -> int:
    """Return the next power of two that leaves half of itself free."""
    return 1 << (2 * needed - 1).bit_length()


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"


def _target(block: Prefix) -> str:
    if block.bits < 8:
        return "every protocol"
    number = block.number >> 16
    protocol = Protocol(number).name.lower() if number in set(Protocol) else f"proto/{number}"
    if block.bits == 8:
        return protocol
    first = block.number & HIGHEST_PORT
    last = first + (1 << TARGET_BITS - block.bits) - 1
    return f"{protocol}/{first}" if first == last else f"{protocol}/{first}-{last}"
