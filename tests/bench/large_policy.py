"""Large policies as a company would write them, and the same for nftables. Seeded: one size, one text.

A hundred teams have a file and a network each. A file has the team's groups and services and two policies:
who may come in, and what is never allowed. Most rules name a group of another team, one of their own, and a
service.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from microseg.policy.addresses import Family
from microseg.policy.rules import Action
from microseg.policy.services import HIGHEST_PORT, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from microseg.policy.ranges import Range, Ranges
    from microseg.policy.rules import NamedSet, OrderedRule, Ruleset
    from microseg.policy.services import ServiceSet

TEAMS = 100
SHARED = {
    "web": "tcp/80, tcp/443, udp/443",
    "ssh": "tcp/22",
    "dns": "udp/53, tcp/53",
    "ntp": "udp/123",
    "postgres": "tcp/5432",
    "kafka": "tcp/9092-9094",
    "metrics": "tcp/9100-9120",
    "ping": "icmp/echo-request, icmpv6/echo-request",
}
BLOCKED = "lists/blocked.netset"


@dataclass(frozen=True, slots=True)
class Size:
    """How large a policy is, in all its files together.

    Attributes:
        rules: a multiple of 100.
        groups: as well.
        blocked: lines of the address list.

    """

    rules: int
    groups: int
    blocked: int = 0


SMALL = Size(1000, 200)
LARGE = Size(10_000, 1000)
HUGE = Size(100_000, 5000, blocked=100_000)


def files_of(size: Size) -> dict[str, bytes]:
    """Return the files of a policy directory, by path."""
    rng = Random(size.rules)
    groups = [[f"team{team:02}-{number}" for number in range(size.groups // TEAMS)] for team in range(TEAMS)]
    files = {f"team{team:02}.mseg": _team(rng, team, groups, size.rules // TEAMS) for team in range(TEAMS)}
    files["company.mseg"] = _company(blocked=bool(size.blocked))
    if size.blocked:
        files[BLOCKED] = address_list(rng, size.blocked)
    return {path: text.encode() for path, text in files.items()}


def address_list(rng: Random, lines: int) -> str:
    """Return so many different addresses and networks, as block lists have them: in no order."""
    hosts = rng.sample(range(1 << 24), lines)
    found = [f"{(11 + (host >> 16 & 63))}.{host >> 8 & 255}.{host & 255}.{host >> 22}" for host in hosts]
    return "# made of public reports\n" + "".join(f"{line}\n" for line in found)


def _company(*, blocked: bool) -> str:
    lines = [f"service {name} = {terms}" for name, terms in SHARED.items()]
    lines += ["default deny log"]
    if blocked:
        lines += [f'group blocked = file("{BLOCKED}")']
        lines += ['policy company priority 1 {\n  owner "security"\n  deny blocked -> any log\n}']
    return "\n".join(lines) + "\n"


def _team(rng: Random, team: int, groups: list[list[str]], rules: int) -> str:
    own = [f"team{team:02}-api", f"team{team:02}-admin"]
    ports = 10_000 + 100 * team
    lines = [f"# Team {team}: ask them before you change anything."]
    lines += [
        f"service {own[0]} = tcp/{ports}-{ports + 9}",
        f"service {own[1]} = tcp/{ports + 20}, udp/{ports + 20}",
    ]
    lines += [f"group {name} = {_addresses(rng, team, number)}" for number, name in enumerate(groups[team])]
    lines += [f"policy team{team:02}-never priority {100 + team} {{", f'  owner "team {team}"']
    lines += [f"  deny {_other(rng, team, groups)} -> {rng.choice(groups[team])} : ssh log" for _ in range(2)]
    lines += ["}", f"policy team{team:02} priority {1000 + team} {{", f'  owner "team {team}"']
    lines += [_rule(rng, team, groups, [*SHARED, *own]) for _ in range(rules - 2)]
    lines += ["}", f'test "team {team} is not open to the world" {{']
    lines += [f"  expect some deny any -> {rng.choice(groups[team])}", "}"]
    return "\n".join(lines) + "\n"


def _rule(rng: Random, team: int, groups: list[list[str]], services: list[str]) -> str:
    action = "deny " if rng.random() < 0.03 else "allow"
    src = _other(rng, team, groups)
    if rng.random() < 0.05:
        src = f"{src} | {_other(rng, team, groups)}"
    arrow = "<->" if rng.random() < 0.02 else "->"
    service = f"tcp/{rng.randrange(1024, 60_000)}" if rng.random() < 0.05 else rng.choice(services)
    tail = " log" if rng.random() < 0.05 else ""
    tail += " expires 2031-12-31" if rng.random() < 0.02 else ""
    tail += f' "ticket {rng.randrange(100_000)}"' if rng.random() < 0.2 else ""
    return f"  {action} {src} {arrow} {rng.choice(groups[team])} : {service}{tail}"


def _other(rng: Random, team: int, groups: list[list[str]]) -> str:
    return rng.choice(groups[(team + rng.randrange(1, TEAMS)) % TEAMS])


def _addresses(rng: Random, team: int, number: int) -> str:
    """Return the addresses of a group: a network or some hosts of the team's own, often IPv6 too."""
    third = number * 4 % 256
    if number % 3:
        hosts = sorted(rng.sample(range(1, 255), 4))
        found = [f"10.{team}.{third}.{host}" for host in hosts[:2]]
        found.append(f"10.{team}.{third}.{hosts[2]} - 10.{team}.{third}.{hosts[3]}")
    else:
        found = [f"10.{team}.{third}.0/24", f"10.{team}.{third + 1}.0/25"]
    if number % 2:
        found.append(f"2001:db8:{team:x}:{number:x}::/64")
    return ", ".join(found)


# The same for nftables: a set for each group and family, a line for each rule, first match wins.


def nftables_of(ruleset: Ruleset) -> str:
    """Return what `nft -f` loads for a policy: as many lines as it takes, in a base chain of its own."""
    return "".join(f"{line}\n" for line in _lines(ruleset))


def _lines(ruleset: Ruleset) -> Iterator[str]:
    rules = ruleset.ordered()
    sets = {named.name: named for ordered in rules for named in (ordered.rule.src, ordered.rule.dst)}
    numbers = {name: number for number, name in enumerate(sets)}
    yield "table inet microseg_bench {"
    for name, named in sets.items():
        for family in Family:
            yield from _set(numbers[name], named, family)
    yield "  chain forward {"
    yield "    type filter hook forward priority 0; policy drop;"
    yield "    ct state established,related accept"
    for ordered in rules:
        yield from _rules(ordered, numbers)
    yield "  }"
    yield "}"


def _set(number: int, named: NamedSet, family: Family) -> Iterator[str]:
    spans = named.addresses.family(family)
    if spans and not _is_any(spans, family):
        elements = ", ".join(_span(each, family) for each in spans)
        kind = f"type ipv{family.value}_addr; flags interval;"
        yield f"  set g{number}_{family.value} {{ {kind} elements = {{ {elements} }} }}"


def _span(span: Range, family: Family) -> str:
    low, high = (str(family.address(number)) for number in span)
    return low if low == high else f"{low}-{high}"


def _is_any(spans: Ranges, family: Family) -> bool:
    return spans == ((0, family.highest),)


def _rules(ordered: OrderedRule, numbers: dict[str, int]) -> Iterator[str]:
    verdict = "accept" if ordered.rule.action is Action.ALLOW else "drop"
    log = "log " if ordered.rule.log else ""
    for src, dst in ordered.rule.directions():
        for family in Family:
            ends = [_end(numbers, src, "s", family), _end(numbers, dst, "d", family)]
            if None not in ends:
                for service in _services(ordered.rule.service.services):
                    match = " ".join(word for word in (*ends, service) if word)
                    yield f"    {match} {log}{verdict}"


def _end(numbers: dict[str, int], named: NamedSet, side: str, family: Family) -> str | None:
    spans = named.addresses.family(family)
    if not spans:
        return None
    word = "ip" if family is Family.IPV4 else "ip6"
    if _is_any(spans, family):
        return f"meta nfproto ipv{family.value}"
    return f"{word} {side}addr @g{numbers[named.name]}_{family.value}"


def _services(service: ServiceSet) -> Iterable[str]:
    """Return the matches for a service without source ports: one for each protocol, or none for any."""
    ports: dict[int, list[str]] = {}
    for low, high in service.targets():
        if low >> 16 != high >> 16:
            return [""]
        first, last = low & HIGHEST_PORT, high & HIGHEST_PORT
        ports.setdefault(low >> 16, []).append(str(first) if first == last else f"{first}-{last}")
    return [_service(Protocol(protocol), found) for protocol, found in ports.items()]


def _service(protocol: Protocol, ports: list[str]) -> str:
    if protocol.is_icmp:
        return "meta l4proto icmp" if protocol is Protocol.ICMP else "meta l4proto ipv6-icmp"
    return f"{protocol.name.lower()} dport {{ {', '.join(ports)} }}"
