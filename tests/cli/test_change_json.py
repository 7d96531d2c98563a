"""What is shown of a difference is the whole of it: packets in it get something else, as told, and no others.

What is shown is the JSON, read back from its text by the language itself. Packets are any packets there
are, not only those of a small universe.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any

import pytest
from long_runs import seeds
from random_rulesets import Maker

from microseg.analysis.difference import Kind, compare
from microseg.analysis.regions import Region
from microseg.cli.change_json import effect_object
from microseg.compiler.pipeline import compile_tree
from microseg.policy.addresses import AddressSet, Family
from microseg.policy.evaluate import Decision, evaluate
from microseg.policy.packet import Packet
from microseg.policy.rules import Ruleset
from microseg.policy.services import ANY_SERVICE, Protocol
from microseg.reconcile.effect import Effect
from microseg.source import MemoryTree

PARTS = 4
PACKETS = 10
"""Inside, and outside, of each difference."""

WORLD = Region(AddressSet.of("0.0.0.0/0", "::/0"), AddressSet.of("0.0.0.0/0", "::/0"), ANY_SERVICE)


@dataclass
class Told:
    """A change as it was shown."""

    kind: str
    before: str
    after: str
    region: Region
    exceptions: list[Region]

    def __contains__(self, packet: Packet) -> bool:
        return packet in self.region and not any(packet in each for each in self.exceptions)


def read_back(shown: str) -> list[Told]:
    """Return the changes that a JSON text speaks of."""
    changes = json.loads(shown)["changes"]
    products = [product for change in changes for product in (change["packets"], *change["except"])]
    regions = dict(zip(map(id, products), regions_of(products), strict=True))
    return [
        Told(
            change["kind"],
            change["before"],
            change["after"],
            regions[id(change["packets"])],
            [regions[id(product)] for product in change["except"]],
        )
        for change in changes
    ]


def regions_of(products: list[dict[str, Any]]) -> list[Region]:
    """Let the language read what is written out."""
    rules = [
        f"allow {sides(product['source'])} -> {sides(product['destination'])} : "
        + ", ".join(product["service"]["services"])
        for product in products
    ]
    text = "\n".join(["policy told {", *rules, "}"])
    compilation = compile_tree(MemoryTree({"told.mseg": text.encode()}), date(2026, 6, 1))
    read = [it.rule for it in compilation.ruleset.ordered()]
    assert len(read) == len(products), (text, compilation.diagnostics)
    return [Region(it.src.addresses, it.dst.addresses, it.service.services) for it in read]


def sides(side: dict[str, Any]) -> str:
    return f"({' | '.join(side['addresses'])})"


def a_packet(rng: Random, region: Region) -> Packet:
    """Return a packet of a region."""
    families = [each for each in Family if region.src.family(each) and region.dst.family(each)]
    family = rng.choice(families)
    ends = []
    for side in (region.src, region.dst):
        low, high = rng.choice(side.family(family))
        ends.append(family.address(rng.choice((low, high, rng.randint(low, high)))))
    slab = rng.choice(region.service.slabs)
    low, high = rng.choice(slab.targets)
    target = rng.choice((low, high, rng.randint(low, high)))
    return real(Packet(ends[0], ends[1], target >> 16, target & 0xFFFF, rng.randint(slab.low, slab.high)))


def real(packet: Packet) -> Packet:
    """Return a packet without the ports that its protocol hasn't got."""
    if packet.protocol in (Protocol.TCP, Protocol.UDP, Protocol.SCTP):
        return packet
    port = packet.port if packet.protocol in set(Protocol) else 0
    return Packet(packet.src, packet.dst, packet.protocol, port, 0)


def check_inside(told: Told, decisions: tuple[Decision, Decision], note: object) -> None:
    before, after = decisions
    assert (before.verdict.name.lower(), after.verdict.name.lower()) == (told.before, told.after), note
    if told.before == told.after:
        assert told.kind == (Kind.LOGGED if after.log else Kind.UNLOGGED).name.lower(), note
        assert before.log != after.log, note


@pytest.mark.parametrize("part", range(PARTS))
def test_a_packet_inside_gets_what_is_told_and_one_outside_what_it_got(part: int) -> None:
    inside = outside = 0
    for seed in seeds(part, PARTS, short=1_000, long=20_000):
        rng = Random(seed)
        maker = Maker(rng)
        before = maker.ruleset()
        after = maker.changed(before)
        told = read_back(json.dumps(effect_object(Effect(tuple(compare(before, after))))))
        for _ in range(PACKETS if told else 0):
            change = rng.choice(told)
            packet = a_packet(rng, change.region)
            if packet in change:
                check_inside(change, decisions(before, after, packet), (seed, packet))
                inside += 1
        for _ in range(PACKETS):
            packet = a_packet(rng, near(rng, told, maker))
            if not any(packet in change for change in told):
                old, new = decisions(before, after, packet)
                assert (old.verdict, old.log) == (new.verdict, new.log), (seed, packet)
                outside += 1
    assert min(inside, outside) > 1_250, "10,000 cases in all"


def near(rng: Random, told: list[Told], maker: Maker) -> Region:
    """Return where to look for a packet that isn't in what was told: around it, most of the time."""
    exceptions = [each for change in told for each in change.exceptions]
    if exceptions and rng.random() < 0.5:
        return rng.choice(exceptions)
    region = maker.region()
    return region if region and rng.random() < 0.8 else WORLD


def decisions(before: Ruleset, after: Ruleset, packet: Packet) -> tuple[Decision, Decision]:
    return evaluate(before, packet), evaluate(after, packet)
