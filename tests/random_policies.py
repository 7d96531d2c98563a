"""Random policy text and packets that sit on its borders, for comparing two judges of the same packet."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from microseg.policy.addresses import Family
from microseg.policy.packet import Packet
from microseg.policy.services import HIGHEST_PORT, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from microseg.policy.ranges import Ranges
    from microseg.policy.rules import Ruleset

V4_BASE = int(ipaddress.IPv4Address("10.1.0.0"))
V6_BASE = int(ipaddress.IPv6Address("2001:db8::"))
SPREAD = 64
PORTS = (0, 1, 22, 53, 67, 68, 80, 443, 1023, 1024, 5432, 8080, 65534, 65535)
PORT_PROTOCOLS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
OTHER_PROTOCOLS = (0, 2, 47, 50, 51, 89, 255)


def policy_text(rng: Random) -> str:
    """Return a policy directory's text: groups, services, policies of different priorities, a default."""
    groups = [f"g{i}" for i in range(rng.randint(1, 6))]
    services = [f"s{i}" for i in range(rng.randint(1, 5))]
    lines = [f"group {name} = {_addresses(rng, groups[:i])}" for i, name in enumerate(groups)]
    lines += [f"service {name} = {_services(rng, services[:i])}" for i, name in enumerate(services)]
    for i, priority in enumerate(rng.sample(range(1, 50), rng.randint(1, 4))):
        mode = " mode audit" if rng.random() < 0.25 else ""
        lines.append(f"policy p{i} priority {priority}{mode} {{")
        lines += [f"  {_rule(rng, groups, services)}" for _ in range(rng.randint(1, 8))]
        lines.append("}")
    if rng.random() < 0.8:
        lines.append(f"default {rng.choice(('allow', 'deny', 'reject'))}{rng.choice(('', ' log'))}")
    rng.shuffle(lines[: len(groups) + len(services)])
    return "\n".join(lines) + "\n"


def packets(rng: Random, ruleset: Ruleset, count: int) -> Iterator[Packet]:
    """Yield packets whose addresses and ports lie on and beside the borders of the ruleset's sets."""
    rules = [ordered.rule for ordered in ruleset.ordered()]
    named = [side for rule in rules for side in (rule.src, rule.dst)]
    targets = [rule.service.services for rule in rules]
    for _ in range(count):
        family = rng.choice(tuple(Family))
        borders = [
            edge
            for side in rng.sample(named, min(4, len(named)))
            for edge in _edges(side.addresses.family(family))
        ]
        src, dst = (family.address(_number(rng, borders, family)) for _ in range(2))
        service = rng.choice(targets)
        slab = rng.choice(service.slabs)
        target = rng.choice([*_edges(slab.targets), rng.choice(PORT_PROTOCOLS) << 16 | rng.choice(PORTS)])
        source_port = rng.choice((slab.low, slab.high, max(slab.low - 1, 0), *PORTS)) & HIGHEST_PORT
        yield packet(src, dst, target >> 16 & 0xFF, target & HIGHEST_PORT, source_port)


def packet(
    src: ipaddress.IPv4Address | ipaddress.IPv6Address,
    dst: ipaddress.IPv4Address | ipaddress.IPv6Address,
    protocol: int,
    port: int,
    source_port: int,
) -> Packet:
    """Return the packet with the fields its protocol doesn't have set to 0."""
    if protocol in PORT_PROTOCOLS:
        return Packet(src, dst, protocol, port, source_port)
    if protocol in (Protocol.ICMP, Protocol.ICMPV6):
        return Packet(src, dst, protocol, port)
    return Packet(src, dst, protocol)


def _edges(ranges: Ranges) -> list[int]:
    return [edge + step for low_high in ranges for edge in low_high for step in (-1, 0, 1)]


def _number(rng: Random, borders: list[int], family: Family) -> int:
    base = V4_BASE if family is Family.IPV4 else V6_BASE
    choices = [*borders, base + rng.randrange(SPREAD), 0, family.highest]
    return min(max(rng.choice(choices), 0), family.highest)


def _address(rng: Random, offset: int) -> str:
    family = rng.choice(tuple(Family))
    base = V4_BASE if family is Family.IPV4 else V6_BASE
    return str(family.address(base + offset))


def _atom(rng: Random, groups: list[str]) -> str:
    kind = rng.randrange(8)
    if groups and kind < 3:
        return rng.choice(groups)
    if kind == 3:
        return rng.choice(("any", "any4", "any6"))
    if kind == 4:
        family = rng.choice(tuple(Family))
        base = V4_BASE if family is Family.IPV4 else V6_BASE
        low = rng.randrange(SPREAD)
        high = rng.randrange(low, SPREAD)
        return f"{family.address(base + low)} - {family.address(base + high)}"
    if kind == 5:
        free = rng.randrange(1, 7)
        number = rng.randrange(SPREAD) >> free << free
        text = _address(rng, number)
        return f"{text}/{(128 if ':' in text else 32) - free}"
    return _address(rng, rng.randrange(SPREAD))


def _addresses(rng: Random, groups: list[str]) -> str:
    text = _atom(rng, groups)
    for _ in range(rng.randrange(3)):
        other = _atom(rng, groups)
        if rng.random() < 0.2:
            other = f"!({other})"
        operator = rng.choice((" | ", " & ", " - ", ", "))
        if operator == ", ":
            return f"{text}, {other}"
        text = f"({text}){operator}({other})"
    return text


def _port_range(rng: Random) -> str:
    low, high = sorted((rng.choice(PORTS), rng.choice(PORTS)))
    return str(low) if low == high or rng.random() < 0.5 else f"{low}-{high}"


def _service(rng: Random, services: list[str]) -> str:
    kind = rng.randrange(10)
    if services and kind < 3:
        return rng.choice(services)
    if kind == 3:
        return rng.choice(("any", "tcp", "udp", "sctp", "icmp", "icmpv6"))
    if kind == 4:
        name = rng.choice(("icmp", "icmpv6"))
        return f"{name}/{rng.choice((0, 3, 8, 128, 255))}{rng.choice(('', '/0', '/4', '/255'))}"
    if kind == 5:
        return f"proto/{rng.choice(OTHER_PROTOCOLS)}"
    text = f"{rng.choice(PORT_PROTOCOLS).name.lower()}/{_port_range(rng)}"
    return f"{text} from {_port_range(rng)}" if rng.random() < 0.4 else text


def _services(rng: Random, services: list[str]) -> str:
    return ", ".join(_service(rng, services) for _ in range(rng.randint(1, 3)))


def _rule(rng: Random, groups: list[str], services: list[str]) -> str:
    sides = [rng.choice(groups) if rng.random() < 0.6 else f"({_addresses(rng, groups)})" for _ in range(2)]
    arrow = "<->" if rng.random() < 0.15 else "->"
    text = f"{rng.choice(('allow', 'deny', 'reject'))} {sides[0]} {arrow} {sides[1]}"
    if rng.random() < 0.85:
        text += f" : {_services(rng, services)}"
    return text + (" log" if rng.random() < 0.2 else "")
