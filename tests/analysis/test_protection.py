"""Protected traffic is refused where looking at every packet says so."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from long_runs import seeds
from random_rulesets import Maker
from universe import Packets, small

from microseg.analysis import protection
from microseg.analysis.book import Book
from microseg.analysis.regions import Region
from microseg.policy.addresses import AddressSet, IPAddress
from microseg.policy.evaluate import evaluate
from microseg.policy.rules import Protect, Ruleset

UNIVERSE = small(v4_bits=3, v6_bits=1)
HOSTS: tuple[IPAddress, ...] = tuple(dict.fromkeys(packet.dst for packet in UNIVERSE.packets))
PARTS = 2


def refused_by_hand(ruleset: Ruleset, protect: Protect, hosts: AddressSet) -> Packets:
    wanted = UNIVERSE.region(Region(protect.src.addresses, hosts, protect.service.services))
    return sum(
        packets & wanted
        for outcome, packets in UNIVERSE.outcomes(ruleset).items()
        if not outcome.verdict.passes
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_refusals_are_those_of_every_packet(part: int) -> None:
    refused = 0
    for seed in seeds(part, PARTS, short=2_000, long=200_000):
        rng = Random(seed)
        maker = Maker(rng, v4_bits=3, v6_bits=1)
        protect = maker.protect()
        ruleset = replace(maker.ruleset(), protects=(protect,))
        host = rng.choice(HOSTS)
        found = protection.refused(ruleset, AddressSet.between(host, host))
        assert bool(found) is bool(refused_by_hand(ruleset, protect, AddressSet.between(host, host))), seed
        check_everywhere(ruleset, protect, seed)
        refused += len(found)
        for cut in found:
            decision = evaluate(ruleset, cut.packet)
            assert decision.decider == cut.decider, seed
            assert not decision.verdict.passes, seed
            assert cut.packet.dst == host, seed
    assert refused > 100


def check_everywhere(ruleset: Ruleset, protect: Protect, seed: int) -> None:
    found = protection.refused_everywhere(Book(ruleset, protection.spoken_of(ruleset)))
    versions = {4 for _ in protect.src.addresses.v4} | {6 for _ in protect.src.addresses.v6}
    everywhere = all(
        refused_by_hand(ruleset, protect, AddressSet.between(host, host))
        for host in HOSTS
        if host.version in versions
    )
    assert bool(found) is everywhere, seed
