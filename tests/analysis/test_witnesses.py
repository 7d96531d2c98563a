from __future__ import annotations

from random import Random

from random_rulesets import Maker

from microseg.analysis import regions
from microseg.analysis.witnesses import MOST, corners, witnesses
from microseg.policy.addresses import ANY_ADDRESS
from microseg.policy.evaluate import evaluate
from microseg.policy.frames import read_frame, write_frame
from microseg.policy.packet import Packet
from microseg.policy.services import ServiceSet


def test_every_witness_fits_in_a_frame_and_is_judged_by_the_evaluator() -> None:
    for seed in range(200):
        ruleset = Maker(Random(seed)).ruleset()
        found = witnesses(ruleset)
        assert 0 < len(found) <= MOST
        assert len({witness.packet for witness in found}) == len(found)
        for witness in found:
            assert read_frame(write_frame(witness.packet)) == witness.packet
            assert witness.decision == evaluate(ruleset, witness.packet)


def test_each_rule_of_a_small_policy_has_a_witness() -> None:
    for seed in range(50):
        ruleset = Maker(Random(seed)).ruleset()
        packets = [witness.packet for witness in witnesses(ruleset)]
        for one in ruleset.ordered():
            for region in regions.of_rule(one.rule):
                assert not list(corners(region)) or any(packet in region for packet in packets)


def test_what_has_to_be_asked_comes_first() -> None:
    ruleset = Maker(Random(1)).ruleset()
    known = witnesses(ruleset)[-1].packet
    asked: list[Packet] = [known]
    assert witnesses(ruleset, asked)[0].packet == known


def test_corners_are_of_protocols_their_family_has() -> None:
    for protocol, versions in ((1, {4}), (58, {6}), (0, {4}), (6, {4, 6}), (47, {4, 6})):
        region = regions.Region(ANY_ADDRESS, ANY_ADDRESS, ServiceSet.of(protocol))
        assert {packet.src.version for packet in corners(region)} == versions
