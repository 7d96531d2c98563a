"""A packet's way through the kernel's maps and program is the way through the image, station by station."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from random import Random

import pytest
from kernel.laboratory import Laboratory, allow, tcp
from random_policies import packets, policy_text
from scapy.layers.l2 import ARP, Ether
from wire import can_be_sent

from microseg.abi_outcome import Outcome
from microseg.analysis import trace as policy
from microseg.compiler.pipeline import compile_tree
from microseg.kernel import tracing
from microseg.policy.frames import read_frame, write_frame
from microseg.policy.rules import Verdict
from microseg.source import MemoryTree

pytestmark = pytest.mark.only_tc  # questions are put to the TC program

POLICIES, PACKETS = 25, 20


def test_every_station_is_the_image_s(lab: Laboratory) -> None:
    judged_by_a_rule = 0
    for seed in range(POLICIES):
        rng = Random(f"tracing {seed}")
        text = policy_text(rng)
        compilation = compile_tree(MemoryTree({"random.mseg": text.encode()}), date(2026, 1, 1))
        assert compilation.image
        generation = lab.stage_ruleset(compilation.ruleset)
        for packet in packets(rng, compilation.ruleset, PACKETS):
            if not can_be_sent(packet):
                continue
            expected = policy.trace(compilation.image, packet)
            way = tracing.trace(lab.plane, lab.flows, write_frame(packet), packet, generation)
            assert way == expected, f"seed {seed}: {packet}\n{text}"
            assert expected.judgement
            judged_by_a_rule += expected.judgement.precedence is not None
    assert judged_by_a_rule > POLICIES


def test_a_standby_slot_can_be_traced(lab: Laboratory) -> None:
    one = allow("10.1.1.1", "10.1.2.1", "tcp/80")
    lab.enforce()
    frame = bytes(tcp("10.1.1.1", "10.1.2.1", 40000, 80)).ljust(60, b"\0")
    way = tracing.trace(lab.plane, lab.flows, frame, read_frame(frame), lab.stage(one))
    assert way.judgement
    assert (way.judgement.verdict, way.judgement.rule_id) == (Verdict.ALLOW, lab.id_of(one))


def test_what_is_not_judged_says_why(lab: Laboratory) -> None:
    generation = lab.enforce()
    way = tracing.trace(lab.plane, lab.flows, bytes(Ether() / ARP()).ljust(60, b"\0"), None, generation)
    assert (way.outcome, way.judgement, way.why) == (Outcome.PASS_ARP, None, Outcome.PASS_ARP.meaning)


def test_protocol_and_ports_are_those_the_kernel_read(lab: Laboratory) -> None:
    generation = lab.enforce()
    frame = bytes(tcp("10.1.1.1", "10.1.2.1", 40000, 80)).ljust(60, b"\0")
    expected = read_frame(frame)
    believed = replace(expected, protocol=17, port=1, source_port=2)
    assert tracing.trace(lab.plane, lab.flows, frame, believed, generation).packet == expected
