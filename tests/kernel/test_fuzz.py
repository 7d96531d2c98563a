"""Random and mutated frames: nothing passes that the reference evaluator denies, and all are accounted for.

50,000 frames in `make test`, a million in `make test-all` (MICROSEG_TEST_FULL=1); with MICROSEG_CORPUS set,
the captures below that folder are seeds too.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random

import pytest
from captures import captured_frames
from kernel.frame_mutations import Mutator
from kernel.frame_parser import Shape
from kernel.frame_seeds import seed_frames
from kernel.frame_ways import Arrival, Bare, InPieces, TestRun, Way, silent_devices
from kernel.laboratory import Laboratory
from kernel.outcome_meter import OutcomeMeter
from kernel.traffic_oracle import Judgement, Opinion, Oracle
from long_runs import amount, is_emulated
from random_policies import policy_text

from microseg.abi import Root
from microseg.abi_outcome import Outcome
from microseg.abi_settings import DEFAULT_UNASKED, NO_OPTIONS, Option, Settings, Unasked
from microseg.compiler.pipeline import compile_tree
from microseg.policy.rules import Ruleset
from microseg.source import MemoryTree

CORPUS = os.environ.get("MICROSEG_CORPUS")
FRAMES = amount(emulated=5_000, short=50_000, long=1_000_000)
PER_POLICY = 1000
TODAY = date(2026, 1, 1)
NEVER = {Outcome.DROP_PROBES, Outcome.DROP_SLOT, Outcome.DROP_INTERNAL, Outcome.PASS_NO_POLICY}
"""Outcomes that would be a mistake of ours whatever the frame."""

BROAD = """
group low = 0.0.0.0/1, ::/1
service usual = tcp/0-30000, udp/0-30000, sctp, icmp/echo-request, icmpv6/echo-request, proto/47
policy broad { allow low -> any : usual  deny any -> any : udp  allow any -> low : tcp/80, udp/53 }
default deny
"""
"""For frames with addresses of their own: about half of them are allowed."""


class Fuzz:
    """Sends frames and holds what becomes of each against the oracle."""

    def __init__(self, lab: Laboratory, rng: Random, ways: dict[Way, float]) -> None:
        self._lab = lab
        self._rng = rng
        self._ways = ways
        self._mutator = Mutator(rng, all_seeds())
        self._oracle = Oracle()
        self._meter = OutcomeMeter(lab.plane)
        self._text = ""
        self.seen: Counter[Outcome | Judgement | Shape] = Counter()
        self.unseen = self.answers = 0

    def send(self, frames: int) -> None:
        for number in range(frames):
            if number % PER_POLICY == 0:
                self._change_policy()
            (way,) = self._rng.choices(tuple(self._ways), tuple(self._ways.values()))
            self._send_one(way, self._mutator.frame())

    def _change_policy(self) -> None:
        self._text = BROAD if self._rng.random() < 0.3 else policy_text(self._rng)
        ruleset = ruleset_of(self._text)
        self._lab.plane.write_root(Root(self._lab.stage_ruleset(ruleset)))
        self._settings = some_settings(self._rng, self._lab.plane.read_settings())
        self._lab.plane.write_settings(self._settings)
        self._oracle.enforce(ruleset, self._settings)

    def _send_one(self, way: Way, frame: bytes) -> None:
        arrival = way.send(frame)
        moved = self._meter.moved()
        if arrival is not None and arrival.passed is None:
            self.answers += moved.pop(Outcome.PASS_ANSWER, 0)  # to what was rejected, by the same device
        if arrival is None or (not moved and arrival.passed is None):
            assert not moved, f"{frame.hex()} was refused and counted as {moved}"
            self.unseen += 1
            return
        opinion = self._oracle.judge(arrival.reading, arrival.direction)
        problem = complaint(arrival, opinion, moved)
        if problem:
            pytest.fail(
                f"{problem}\n{type(way).__name__}: {frame.hex()}\n{arrival}\n{opinion}\n{moved}\n"
                f"{self._settings}\n{self._text}"
            )
        (outcome,) = moved
        if outcome.passes:
            self._oracle.passed(arrival.reading)
        self.seen.update((outcome, opinion.judgement, arrival.reading.shape))


def complaint(arrival: Arrival, opinion: Opinion, moved: dict[Outcome, int]) -> str:
    """Return what is wrong about what became of a frame; empty: nothing."""
    if list(moved.values()) != [1]:
        return "not counted exactly once"
    (outcome,) = moved
    if outcome in NEVER:
        return "an outcome that no frame should have"
    if arrival.passed is not None and outcome.passes != arrival.passed:
        return "counted as something else than was done"
    if outcome.passes and opinion.judgement is Judgement.MUST_DROP:
        return "passed, and nothing allows it"
    if not outcome.passes and opinion.judgement is Judgement.MUST_PASS:
        return "dropped, though it is allowed"
    return ""


def some_settings(rng: Random, settings: Settings) -> Settings:
    """Return settings with other exceptions: mostly the usual ones, sometimes any."""
    if rng.random() < 0.5:
        return replace(settings, unasked=DEFAULT_UNASKED, options=NO_OPTIONS, ethertypes=())
    return replace(
        settings,
        unasked=Unasked(rng.randrange(1 << len(Unasked))),
        options=rng.choice((NO_OPTIONS, Option.JUDGE_ICMP_ERRORS)),
        ethertypes=rng.choice(((), (0x88CC,), (4, 0x8847, 0x88CC))),
    )


def all_seeds() -> list[bytes]:
    """Return our own seeds, and as many from captures."""
    own, captured = seed_frames(), captured_frames(Path(CORPUS)) if CORPUS else []
    return captured + own * max(1, len(captured) // len(own))


def ruleset_of(text: str) -> Ruleset:
    compilation = compile_tree(MemoryTree({"fuzz.mseg": text.encode()}), TODAY)
    assert compilation.image, f"{text}\n{compilation.diagnostics}"
    return compilation.ruleset


@pytest.mark.usefixtures("namespace")
def test_no_frame_passes_that_the_evaluator_denies(lab: Laboratory) -> None:
    before = lab.stats()
    rng = Random("frames")
    with silent_devices(lab.plane, lab.hook) as (tap, tun):
        fuzz = Fuzz(lab, rng, {TestRun(lab, rng): 0.8, InPieces(tap, rng): 0.15, Bare(tun): 0.05})
        fuzz.send(FRAMES)
    after = lab.stats()
    assert after.packets - before.packets == FRAMES - fuzz.unseen + fuzz.answers, "frames not counted"
    assert after.dropped - before.dropped == sum(fuzz.seen[one] for one in Outcome if not one.passes)
    assert fuzz.unseen < FRAMES / 10
    # Frames that are all refused would prove nothing.
    for one in (*Judgement, *Shape):
        assert fuzz.seen[one] > FRAMES / 250, fuzz.seen
    never_seen = {one for one in Outcome if not fuzz.seen[one]} - NEVER
    assert is_emulated() or never_seen <= {Outcome.PASS_ADOPTED, Outcome.PASS_ANSWER}, never_seen
