"""What a packet costs that has no session, under 10 and under 10,000 rules: `make bench-cold`.

Both policies are in the kernel, one in each slot, and take turns with each kind of packet. Exits with 1 when
a limit is missed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from statistics import median

from bench.__main__ import data_plane
from bench.references import references
from bench.results import Limit, Row, Section, Table, report
from kernel.laboratory import NOWHERE, Laboratory, link, service, tcp, udp
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6

from microseg.abi import Root
from microseg.kernel.packet_run import FrameContext, Runner
from microseg.policy.addresses import AddressSet
from microseg.policy.rules import Action, Default, NamedSet, Policy, Rule, Ruleset
from microseg.reconcile.dataplane import Sizing

COMMAND = "make bench-cold"
ROUNDS, REPEAT = 15, 25_000
FEW, MANY = 10, 10_000
EVENTS_PER_S = 1000
FIRST_NS, GROWTH = 1500, 1.15
CLIENT, SERVER = "10.0.1.1", "192.168.0.1"
CLIENT6, SERVER6 = "2001:db8:1::1", "2001:db8:ffff::1"
ALLOWED, DENIED = 53, 99
CLIENTS = FrameContext(mark=1 << 24)
HOT, ONE, ONE6 = "established", "first of a flow, a client's ports", "first of a flow, a client's ports, IPv6"
ANYONE, ANYONE6 = "first of a flow, random clients", "first of a flow, random clients, IPv6"
AGAIN, AGAIN6 = "denied again", "denied again, IPv6"
KEPT = (HOT, ONE, ONE6, AGAIN, AGAIN6)
"""Rows whose cost must not grow with the rules."""
NOTE = (
    f"Medians of {ROUNDS} rounds of {REPEAT:,} packets, in turn. Each rule allows a block of clients; at "
    f"most {EVENTS_PER_S:,} events a second. A random client is any of 16 million: its block, the rule and "
    "the rule's counter are elsewhere in memory each time: cache misses, the more the more rules there are."
)
Once = Callable[[], int]


def ruleset(rules: int) -> Ruleset:
    """Return so many rules: each for a block of clients, the last for all the others."""
    first4, first6 = int(IPv4Address("10.0.0.0")), int(IPv6Address("2001:db8::"))
    clients = [
        AddressSet.of(f"{IPv4Address(first4 + (n << 10))}/22", f"{IPv6Address(first6 + (n << 80))}/48")
        for n in range(rules - 1)
    ]
    clients.append(AddressSet.of("10.0.0.0/8", "2001:db8::/32"))
    server, allowed = NamedSet("server", AddressSet.of(SERVER, SERVER6)), service(f"udp/{ALLOWED}")
    made = [
        Rule(Action.ALLOW, NamedSet(f"clients-{n}", block), server, allowed, NOWHERE)
        for n, block in enumerate(clients)
    ]
    return Ruleset((Policy("bench", NOWHERE, tuple(made)),), Default(Action.DENY))


def rows(lab: Laboratory, programs: dict[str, Runner]) -> dict[str, Once]:
    """Return what is measured, by name."""

    def frame(port: int) -> bytes:
        return bytes(udp(CLIENT, SERVER, 40000, port, b"payload")).ljust(60, b"\0")

    def frame6(port: int) -> bytes:
        addresses = IPv6(src=CLIENT6, dst=SERVER6)
        return bytes(link() / addresses / UDP(sport=40000, dport=port) / b"payload")

    def once(name: str, sent: bytes) -> Once:
        return lambda: programs[name].run(sent, CLIENTS, REPEAT).duration_ns

    def again(sent: bytes) -> Once:
        return lambda: lab.flows.run(sent, repeat=REPEAT).duration_ns

    syn = bytes(tcp(CLIENT, SERVER, 40000, DENIED)).ljust(60, b"\0")
    return {
        HOT: again(frame(ALLOWED)),
        ONE: once("ports_filter", frame(ALLOWED)),
        ONE6: once("ports_filter", frame6(ALLOWED)),
        ANYONE: once("clients_filter", frame(ALLOWED)),
        ANYONE6: once("clients_filter", frame6(ALLOWED)),
        AGAIN: again(frame(DENIED)),
        AGAIN6: again(frame6(DENIED)),
        "denied again, SYN": again(syn),
        "denied, a client's ports": once("ports_filter", frame(DENIED)),
        "denied, random clients": once("clients_filter", frame(DENIED)),
    }


def times(lab: Laboratory, named: dict[str, Once], generations: dict[int, int]) -> Iterator[Row]:
    """Measure all in turn, a round to warm up first: the median of each row under each policy."""
    found: dict[tuple[str, int], list[int]] = {}
    for number in range(ROUNDS + 1):
        for name, once in named.items():
            for rules, generation in generations.items():
                lab.plane.write_root(Root(generation))
                lab.flows.run(bytes(udp(SERVER, CLIENT, ALLOWED, 40000)).ljust(60, b"\0"))
                taken = once()
                if number:
                    found.setdefault((name, rules), []).append(taken)
    for name in named:
        few, many = (median(found[name, rules]) for rules in generations)
        yield Row(name, (few, many, many / few))


def limits(by_name: dict[str, tuple[float, ...]]) -> Iterator[Limit]:
    """Yield what was promised."""
    for name in (ONE, ONE6, ANYONE6):
        yield Limit(f"{name}, {MANY:,} rules, ns", by_name[name][1], most=FIRST_NS)
    for name in KEPT:
        yield Limit(f"{name}, {MANY:,} rules, times {FEW} rules", by_name[name][2], most=GROWTH)


def measured() -> Section:
    """Measure everything."""
    with data_plane() as (plane, pins), references(pins, Sizing()) as programs:
        lab = Laboratory(plane)
        lab.clear()
        lab.set(events_per_s=EVENTS_PER_S)
        generations = {}
        for rules in (FEW, MANY):
            generations[rules] = lab.stage_ruleset(ruleset(rules))
            plane.write_root(Root(generations[rules]))
        found = tuple(times(lab, rows(lab, programs), generations))
    columns = (f"{FEW} rules, ns", f"{MANY:,} rules, ns", "ratio")
    by_name = {row.name: tuple(figure or 0.0 for figure in row.figures) for row in found}
    table = Table("A packet without a session", columns, found, COMMAND, NOTE)
    return Section("cold path", (table,), tuple(limits(by_name)))


if __name__ == "__main__":
    sys.exit(report(measured, __doc__))
