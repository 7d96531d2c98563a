"""Rules read back from entries decide every packet as the rules did that the entries were made from."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from random_rulesets import Maker
from universe import small

from microseg.abi import PolicyMap, SlotConfig, SlotContents, decode_policy_key, encode
from microseg.compiler.lower import lower
from microseg.policy.rules import Default, OrderedRule, Ruleset, Verdict
from microseg.reconcile.desired import names_of
from microseg.reconcile.enforced import ruleset_in_force, ruleset_of
from microseg.reconcile.observed import NOTHING, Observed
from microseg.reconcile.records import Names

UNIVERSE = small()


def read_back(ruleset: Ruleset, *, named: bool = True) -> Ruleset:
    image = lower(ruleset)
    return ruleset_of(encode(image), names_of(image) if named else Names())


def random_ruleset(seed: int) -> Ruleset:
    ruleset = Maker(Random(seed)).ruleset()
    return ruleset.audited() if seed % 5 == 0 else ruleset


@pytest.mark.parametrize("named", [True, False])
def test_every_packet_gets_the_same(*, named: bool) -> None:
    for seed in range(300):
        ruleset = random_ruleset(seed)
        assert UNIVERSE.outcomes(read_back(ruleset, named=named)) == UNIVERSE.outcomes(ruleset), seed


def test_rules_come_back_in_the_order_they_were_written_with_names_and_places() -> None:
    moved = 0
    for seed in range(100):
        ruleset = random_ruleset(seed)
        written = {(it.policy.name, it.rule.span.line): at for at, it in enumerate(ruleset.ordered())}
        again = [(it.policy.name, it.rule.span.line) for it in read_back(ruleset).ordered()]
        places = [written[each] for each in again]
        assert places == sorted(places), seed
        unnamed = [it.rule.service.name for it in read_back(ruleset, named=False).ordered()]
        assert all(name.startswith("#") for name in unnamed)
        moved += len(places)
    assert moved > 300


def test_names_in_a_wrong_order_are_not_believed() -> None:
    for seed in range(100):
        ruleset = random_ruleset(seed)
        image = lower(ruleset)
        names = names_of(image)
        backwards = replace(names, rules=dict(reversed(list(names.rules.items()))))
        again = ruleset_of(encode(image), backwards)
        assert UNIVERSE.outcomes(again) == UNIVERSE.outcomes(ruleset), seed


def test_what_somebody_took_out_of_the_maps_is_not_there() -> None:
    ruleset = random_ruleset(1)
    image = lower(ruleset)
    contents = encode(image)
    for taken in contents.maps[PolicyMap.POLICY]:
        if decode_policy_key(taken)[2]:
            maps = dict(contents.maps)
            maps[PolicyMap.POLICY] = {k: v for k, v in maps[PolicyMap.POLICY].items() if k != taken}
            again = ruleset_of(SlotContents(maps, contents.config), names_of(image))
            assert len(again.ordered()) == len(read_back(ruleset).ordered()) - 1


def test_a_slot_that_says_nothing_of_its_default_denies() -> None:
    assert ruleset_of(NOTHING, Names()).default_verdict() is Verdict.DENY


def test_without_a_policy_everything_passes_and_with_a_broken_one_nothing() -> None:
    nothing = ruleset_in_force(Observed(), NOTHING, Names())
    assert nothing.default_verdict() is Verdict.ALLOW
    broken = Observed(loaded=True, root=replace(Observed().root, generation=4))
    assert not broken.judges
    assert ruleset_in_force(broken, NOTHING, Names()) == Ruleset(default=Default())
    whole = replace(broken, configs=(SlotConfig(4, Verdict.REJECT), SlotConfig()))
    assert ruleset_in_force(whole, replace(NOTHING, config=whole.configs[0]), Names()).default_verdict() is (
        Verdict.REJECT
    )


def test_the_default_keeps_its_place() -> None:
    ruleset = Ruleset(default=Default(span=None))
    assert isinstance(read_back(ruleset).default, Default)
    assert not [each for each in read_back(ruleset).ordered() if not isinstance(each, OrderedRule)]
