"""Events for people and for programs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from microseg.cli.entry_text import PROTOCOLS
from microseg.cli.plan_json import rule_object
from microseg.policy.rules import Verdict
from microseg.policy.services import Protocol
from microseg.reconcile.records import revision_to_json

if TYPE_CHECKING:
    from microseg.abi_flow import Event
    from microseg.policy.addresses import IPAddress
    from microseg.reconcile.attribution import Blame

_ICMP = (Protocol.ICMP, Protocol.ICMPV6)
NS_PER_S = 1_000_000_000


def when(event: Event) -> datetime:
    """Return the time of an event, UTC: the kernel counts from boot."""
    since_boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return datetime.fromtimestamp((time.time_ns() - since_boot_ns + event.boot_ns) / NS_PER_S, UTC)


def line(event: Event, blame: Blame, interface: str) -> str:
    """Return an event as one line."""
    words = [
        f"{when(event):%H:%M:%S.%f}"[:-3],
        f"{word(event):<10}",
        f"{interface} {event.direction.name.lower()}",
        _packet(event),
        f"{event.length} bytes",
        _reason(event, blame),
    ]
    return "  ".join(words)


def word(event: Event) -> str:
    """Return what happened to the packet, in a word."""
    if event.verdict is Verdict.AUDIT:
        return "would deny"
    if event.outcome.passes:
        return "allow"
    return event.verdict.name.lower() if event.verdict else "drop"


def as_object(event: Event, blame: Blame, interface: str) -> dict[str, Any]:
    """Return an event for JSON; what isn't known or doesn't exist is null."""
    return {
        "time": when(event).isoformat(),
        "interface": interface,
        "direction": event.direction.name.lower(),
        "passed": event.outcome.passes,
        "outcome": event.outcome.name.lower(),
        "meaning": event.outcome.meaning,
        "verdict": event.verdict.name.lower() if event.verdict else None,
        "protocol": PROTOCOLS.get(event.protocol, str(event.protocol)) if event.protocol else None,
        "src": _end_object(event.source, event),
        "dst": _end_object(event.destination, event),
        "bytes": event.length,
        "generation": event.generation,
        "revision": revision_to_json(blame.revision),
        "rule": rule_object(event.rule, blame.rule) if event.verdict else None,
    }


def _reason(event: Event, blame: Blame) -> str:
    """Return the rule, its place and its commit; of a packet that was not judged, why."""
    if event.verdict is None:
        return event.outcome.meaning
    rule = blame.rule
    if rule is None:
        return f"rule #{event.rule:08x} of generation {event.generation}, of which nothing is recorded"
    at = f"@{blame.revision.short()}" if blame.revision else ""
    return f"{rule.text}  ({rule.place}{at})" if rule.place else rule.text


def _packet(event: Event) -> str:
    if event.source is None or event.destination is None:
        return "not IP"
    protocol = PROTOCOLS.get(event.protocol, f"proto/{event.protocol}")
    if event.protocol in _ICMP:
        kind = event.destination[1]
        return f"{protocol}/{kind >> 8}/{kind & 0xFF} {event.source[0]} -> {event.destination[0]}"
    return f"{protocol} {_end(event.source)} -> {_end(event.destination)}"


def _end(end: tuple[IPAddress, int]) -> str:
    address, port = end
    if not port:
        return str(address)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _end_object(end: tuple[IPAddress, int] | None, event: Event) -> dict[str, Any] | None:
    if end is None:
        return None
    port = None if event.protocol in _ICMP or event.protocol not in PROTOCOLS else end[1]
    return {"address": str(end[0]), "port": port}
