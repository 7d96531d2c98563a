"""A difference tells of each packet that gets something else what it gets, and of no other packet."""

from __future__ import annotations

from random import Random

import pytest
from long_runs import seeds
from random_rulesets import Maker
from universe import Packets, Universe, small

from microseg.analysis.difference import Change, Kind, compare
from microseg.analysis.wording import Part
from microseg.policy.evaluate import evaluate
from microseg.policy.rules import Ruleset, Verdict

UNIVERSE = small()
PARTS = 8


def packets_of(universe: Universe, part: Part) -> Packets:
    found = universe.region(part.product.region)
    for exception in part.exceptions:
        found &= ~universe.region(exception.region)
    return found


def changed_packets(before: Ruleset, after: Ruleset) -> dict[tuple[Kind, Verdict, Verdict], Packets]:
    found: dict[tuple[Kind, Verdict, Verdict], Packets] = {}
    for old, packets in UNIVERSE.outcomes(before).items():
        for new, others in UNIVERSE.outcomes(after).items():
            if packets & others and old != new:
                kind = Kind.LOGGED if new.log else Kind.UNLOGGED
                if old.verdict is not new.verdict:
                    kind = {1: Kind.ALLOWED, 2: Kind.DENIED, 3: Kind.REJECTED, 4: Kind.AUDITED}[new.verdict]
                key = kind, old.verdict, new.verdict
                found[key] = found.get(key, 0) | packets & others
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_differences_are_those_of_every_packet(part: int) -> None:
    for seed in seeds(part, PARTS, short=10_000, long=200_000):
        maker = Maker(Random(seed))
        before = maker.ruleset()
        after = maker.changed(before) if seed % 7 else maker.ruleset()
        found: dict[tuple[Kind, Verdict, Verdict], Packets] = {}
        for change in compare(before, after):
            packets = packets_of(UNIVERSE, change.part)
            key = change.kind, change.before, change.after
            assert packets & ~found.get(key, 0), seed  # nothing is told in vain
            found[key] = found.get(key, 0) | packets
            check(before, after, change, packets, seed)
        assert found == changed_packets(before, after), seed


def check(before: Ruleset, after: Ruleset, change: Change, packets: Packets, seed: int) -> None:
    witness = change.part.witness
    assert witness in change.part, seed
    assert evaluate(before, witness).verdict is change.before, seed
    assert evaluate(after, witness).verdict is change.after, seed
    for ruleset, deciders in ((before, change.rules_before), (after, change.rules_after)):
        assert set(deciders) == {
            decider for decider, decided in UNIVERSE.deciders(ruleset) if decided & packets
        }, seed
