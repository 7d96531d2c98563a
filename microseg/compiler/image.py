"""The image: everything the kernel needs to know of a ruleset, as plain values.

An image is a pure function of the ruleset (I5). Its entries become bytes in `microseg.abi`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microseg.policy.rules import Verdict
    from microseg.source import Span

DEFAULT_RULE_ID = 0
"""Rule id of packets no rule matches."""

PAIR_SERVICE_ID = 0
"""Service id of a pair entry, which only says that its pair has rules."""


class Prefix(NamedTuple):
    """A block of addresses or service targets: the number of its first member and its length in bits."""

    number: int
    bits: int


class ServiceElement(NamedTuple):
    """A service over a port, valid when the packet's other port lies in low .. high (both included)."""

    service_id: int
    low: int
    high: int


class PolicyKey(NamedTuple):
    """Ids of source set, destination set and service."""

    src_set: int
    dst_set: int
    service: int


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """What a policy key decides.

    Attributes:
        precedence: the lowest among a packet's hits decides; from 1.
        verdict: what the packet gets; of a pair entry: DENY, and not used.
        log: report each packet.
        rule_id: stable id of the rule.

    """

    precedence: int
    verdict: Verdict
    log: bool
    rule_id: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a rule id comes from, for people; not part of the kernel's bytes."""

    policy: str
    text: str
    span: Span | None


@dataclass(frozen=True, slots=True)
class Image:
    """A compiled ruleset.

    Attributes:
        ipv4: prefix -> ids of all sets that contain it, ascending.
        ipv6: the same for IPv6.
        destination_services: prefix of protocol << 16 | destination port (24 bits) -> elements, whose
            other port is the source port.
        source_services: prefix of protocol << 16 | source port -> elements, whose other port is the
            destination port. Services whose source ports are narrower than their destination ports.
        rules: what each (source set, destination set, service) decides, pair entries included.
        default_verdict: of packets that nothing in rules matches.
        default_log: report those packets.
        origins: rule id -> where it comes from, in the order of evaluation.

    """

    ipv4: Mapping[Prefix, tuple[int, ...]]
    ipv6: Mapping[Prefix, tuple[int, ...]]
    destination_services: Mapping[Prefix, tuple[ServiceElement, ...]]
    source_services: Mapping[Prefix, tuple[ServiceElement, ...]]
    rules: Mapping[PolicyKey, PolicyEntry]
    default_verdict: Verdict
    default_log: bool
    origins: Mapping[int, Origin] = field(compare=False)
    set_names: Mapping[int, str] = field(compare=False)
    service_names: Mapping[int, str] = field(compare=False)
