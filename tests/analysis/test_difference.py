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

Changes = dict[tuple[Kind, Verdict, Verdict], Packets]

UNIVERSE = small()
PARTS = 8


def packets_of(universe: Universe, part: Part) -> Packets:
    found = universe.region(part.product.region)
    for exception in part.exceptions:
        found &= ~universe.region(exception.region)
    return found


def changed_packets(before: Ruleset, after: Ruleset) -> Changes:
    found: Changes = {}
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
        found: Changes = {}
        decided = [list(UNIVERSE.deciders(ruleset)) for ruleset in (before, after)]
        for change in compare(before, after):
            packets = packets_of(UNIVERSE, change.part)
            key = change.kind, change.before, change.after
            assert packets & ~found.get(key, 0), seed  # nothing is told in vain
            found[key] = found.get(key, 0) | packets
            check_witness(before, after, change, seed)
            for rules, deciders in zip((change.rules_before, change.rules_after), decided, strict=True):
                assert set(rules) == {rule for rule, mine in deciders if mine & packets}, seed
        assert found == changed_packets(before, after), seed


def check_witness(before: Ruleset, after: Ruleset, change: Change, seed: int) -> None:
    witness = change.part.witness
    assert witness in change.part, seed
    assert evaluate(before, witness).verdict is change.before, seed
    assert evaluate(after, witness).verdict is change.after, seed
