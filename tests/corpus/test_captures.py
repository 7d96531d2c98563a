"""Captured frames as they are, one after the other: what passes is allowed, and all are accounted for.

Packets of one capture belong together, so sessions, fragments and errors come about by themselves. The fuzzer
of tests/kernel/test_fuzz.py starts from the same frames.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from random import Random

from captures import captured_frames
from kernel.frame_ways import TestRun
from kernel.laboratory import Laboratory
from kernel.outcome_meter import OutcomeMeter
from kernel.test_fuzz import BROAD, complaint, ruleset_of
from kernel.traffic_oracle import Judgement, Oracle

from microseg.abi import Root

ALLOW_ALL = "policy all { allow any -> any }\n"
DENY_ALL = "default deny\n"


def test_captures_pass_only_as_allowed(lab: Laboratory) -> None:
    frames = captured_frames(Path(os.environ["MICROSEG_CORPUS"]))
    assert len(frames) > 1000, "a corpus with hardly any captures"
    seen: Counter[Judgement] = Counter()
    for text in (BROAD, ALLOW_ALL, DENY_ALL):
        ruleset = ruleset_of(text)
        lab.plane.write_root(Root(lab.stage_ruleset(ruleset)))
        oracle, way, meter = Oracle(), TestRun(lab, Random(text)), OutcomeMeter(lab.plane)
        oracle.enforce(ruleset, lab.plane.read_settings())
        for number, frame in enumerate(frames):
            arrival = way.send(frame)
            moved = meter.moved()
            if arrival is None:
                assert not moved
                continue
            opinion = oracle.judge(arrival.reading, arrival.direction)
            assert not complaint(arrival, opinion, moved), (number, frame.hex(), arrival, opinion, moved)
            (outcome,) = moved
            if outcome.passes:
                oracle.passed(arrival.reading)
            seen[opinion.judgement] += 1
    assert min(seen[one] for one in Judgement) > 100, seen
