"""Packet-filter sets in ClassBench's style, written out as a policy.

One JSON object: `rules`, an ordered first-match list of {action, src, dst, proto, sport, dport, icmp} where
an absent field matches everything, `default`, and `packets` with the expected verdict and rule.
"""

from __future__ import annotations

import gzip
import ipaddress
import json
from typing import TYPE_CHECKING, Any

from random_policies import packet as canonical_packet

from microseg.policy.services import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from microseg.policy.packet import Packet

FIRST_RULE_LINE = 2
"""Line of rule 0 in the text."""


def read(path: Path) -> dict[str, Any]:
    """Return the filter set in a gzipped JSON file."""
    with gzip.open(path) as file:
        content: dict[str, Any] = json.load(file)
    return content


def policy_text(content: dict[str, Any]) -> str:
    """Return the filter set as one policy, rule n on line n + FIRST_RULE_LINE."""
    rules = [_rule(rule) for rule in content["rules"]]
    return "\n".join(["policy classbench {", *rules, "}", f"default {content['default']}", ""])


def packets(content: dict[str, Any]) -> Iterator[tuple[Packet, str, int | None]]:
    """Yield each packet with the expected verdict and the index of the expected rule (None: the default)."""
    for entry in content["packets"]:
        yield (
            canonical_packet(
                ipaddress.ip_address(entry["src"]),
                ipaddress.ip_address(entry["dst"]),
                entry["proto"],
                entry["dport"] or 0,
                entry["sport"] or 0,
            ),
            entry["expected"],
            entry["rule"],
        )


def _rule(rule: dict[str, Any]) -> str:
    everything = {4: "any4", 6: "any6"}.get(rule.get("family", 0), "any")
    sides = [f"({', '.join(rule[key])})" if key in rule else everything for key in ("src", "dst")]
    services = _services(rule)
    return f"  {rule['action']} {sides[0]} -> {sides[1]}" + (f" : {', '.join(services)}" if services else "")


def _services(rule: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for protocol in rule.get("proto", []):
        if protocol in (Protocol.ICMP, Protocol.ICMPV6) and "icmp" in rule:
            name = Protocol(protocol).name.lower()
            found += [
                f"{name}/{kind}" if code is None else f"{name}/{kind}/{code}" for kind, code in rule["icmp"]
            ]
        elif protocol in (Protocol.TCP, Protocol.UDP, Protocol.SCTP):
            found += _port_services(Protocol(protocol).name.lower(), rule)
        else:
            found.append(f"proto/{protocol}")
    return found


def _port_services(name: str, rule: dict[str, Any]) -> list[str]:
    destinations = [f"{name}/{low}-{high}" for low, high in rule.get("dport", [])] or [name]
    sources = [f" from {low}-{high}" for low, high in rule.get("sport", [])] or [""]
    return [destination + source for destination in destinations for source in sources]
