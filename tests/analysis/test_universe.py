"""The bits of the small universe say what the reference evaluator says of each packet."""

from __future__ import annotations

from random import Random

import pytest
from random_rulesets import Maker
from universe import small

from microseg.policy.evaluate import evaluate_ordered


@pytest.mark.parametrize("seed", range(40))
def test_deciders_are_those_of_the_evaluator(seed: int) -> None:
    universe = small(v4_bits=2, v6_bits=1)
    ruleset = Maker(Random(seed), v4_bits=2, v6_bits=1).ruleset()
    rules = ruleset.ordered()
    seen = 0
    for decider, packets in universe.deciders(ruleset):
        for packet in universe.packets_of(packets):
            assert evaluate_ordered(ruleset, rules, packet).decider == decider
            seen += 1
    assert seen == len(universe.packets)


def test_regions_are_read_back_packet_by_packet() -> None:
    universe = small(v4_bits=2, v6_bits=1)
    chosen = universe.packets[::7]
    assert list(universe.packets_of(universe.of_packets(chosen))) == chosen
