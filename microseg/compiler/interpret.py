"""The kernel's search, over an image instead of maps: the same lookups in the same order.

Slow and plain. It tells a fault of the compiler from one of the kernel program, and counts the probes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from microseg.compiler.containment import TARGET_BITS
from microseg.compiler.image import DEFAULT_RULE_ID, PAIR_SERVICE_ID, PolicyEntry, PolicyKey, Prefix
from microseg.policy.addresses import Family

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microseg.compiler.image import Image
    from microseg.policy.addresses import IPAddress
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Verdict

    Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Search:
    """What the search of one packet found.

    Attributes:
        src_sets: ids of the sets that contain the source.
        dst_sets: ids of the sets that contain the destination.
        services: ids of the services that contain the packet.
        probes: probes of the policy map, pairs included.
        key: the key that decided, None for the default.
        verdict: what the packet gets.
        log: report it.
        rule_id: of the rule that decided, 0 for the default.

    """

    src_sets: tuple[int, ...]
    dst_sets: tuple[int, ...]
    services: tuple[int, ...]
    probes: int
    key: PolicyKey | None
    verdict: Verdict
    log: bool
    rule_id: int


def search(image: Image, packet: Packet) -> Search:
    """Judge the first packet of a connection by the image."""
    return probe(image, _sets(image, packet.src), _sets(image, packet.dst), services_of(image, packet))


def probe(
    image: Image, src_sets: tuple[int, ...], dst_sets: tuple[int, ...], services: tuple[int, ...]
) -> Search:
    """Judge packets whose source, destination and service are in these sets and services."""
    best: tuple[PolicyKey, PolicyEntry] | None = None
    probes = 0
    for src in src_sets:
        for dst in dst_sets:
            probes += 1
            pair = image.rules.get(PolicyKey(src, dst, PAIR_SERVICE_ID))
            if pair is None or (best and pair.precedence >= best[1].precedence):
                continue
            for service in services:
                probes += 1
                key = PolicyKey(src, dst, service)
                entry = image.rules.get(key)
                if entry and (best is None or entry.precedence < best[1].precedence):
                    best = key, entry
    if best is None:
        verdict, log, rule_id = image.default_verdict, image.default_log, DEFAULT_RULE_ID
    else:
        verdict, log, rule_id = best[1].verdict, best[1].log, best[1].rule_id
    return Search(src_sets, dst_sets, services, probes, best[0] if best else None, verdict, log, rule_id)


def longest_match(table: Mapping[Prefix, Value], number: int, bits: int) -> Value | None:
    """Return the value of the longest prefix that contains a bits-wide number."""
    for length in range(bits, -1, -1):
        shift = bits - length
        value = table.get(Prefix(number >> shift << shift, length))
        if value is not None:
            return value
    return None


def _sets(image: Image, address: IPAddress) -> tuple[int, ...]:
    family = Family(address.version)
    table = image.ipv4 if family is Family.IPV4 else image.ipv6
    return longest_match(table, int(address), family.bits) or ()


def services_of(image: Image, packet: Packet) -> tuple[int, ...]:
    """Return the ids of the services that contain a packet."""
    target = packet.protocol << 16 | packet.port
    source = packet.protocol << 16 | packet.source_port
    by_destination = longest_match(image.destination_services, target, TARGET_BITS) or ()
    by_source = longest_match(image.source_services, source, TARGET_BITS) or ()
    return (
        *(e.service_id for e in by_destination if e.low <= packet.source_port <= e.high),
        *(e.service_id for e in by_source if e.low <= packet.port <= e.high),
    )
