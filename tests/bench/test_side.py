"""A comparison is one of equals: rules that mean the same, in turns, and void when a contestant differs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bench.side import arena as arenas
from bench.side.arena import Arena, Taken, UnequalError, arena
from bench.side.bare import BARE, Nothing
from bench.side.contestant import Contestant, Rules
from bench.side.flows import STRANGERS, Stream
from bench.side.nftables import Linear, Netdev, Nftables

RULES = Rules(10)
without_nft = pytest.mark.skipif(not shutil.which("nft"), reason="nftables isn't installed")
pytestmark = [pytest.mark.kernel, pytest.mark.compiles]


class Unfair(Nftables):
    """It allows one client fewer."""

    name = "unfair"

    def install(self, rules: Rules) -> None:
        super().install(Rules(rules.count - 1))


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Measure hardly anything, and leave the whole machine's limits alone."""
    monkeypatch.setattr(arenas, "ROUND_NS", 1_000_000)
    for limit in ("_MAX", "_HASHSIZE"):
        monkeypatch.setattr(arenas, limit, tmp_path / "none")
    monkeypatch.setattr(Nftables, "forget", lambda _: None)


def measure(made: Arena) -> None:
    made.install(RULES)
    known, unknown = Stream(4, 100, RULES.hosts), Stream(6, 0, 64, STRANGERS[6])
    made.establish(known)
    for found in (made.measure(known), made.measure(unknown, allowed=False)):
        assert set(found) == {entry.name for entry in made.entries}
        assert all(len(taken.rounds) == 2 and taken.median > 10 for taken in found.values())


def test_programs_take_turns() -> None:
    with arena([Nothing(), BARE["empty"], BARE["xdp-drop"]], 2) as made:
        measure(made)


def test_what_a_limit_is_about_is_measured_more_often() -> None:
    with arena([Nothing()], 2) as made:
        made.install(RULES)
        found = made.measure(Stream(4, 0, RULES.hosts), promised=True)
        assert len(found[Nothing.name].rounds) == 2 * arenas.PROMISED


@without_nft
def test_rulesets_mean_the_same() -> None:
    contestants: list[Contestant] = [Nftables(), Linear(), Netdev()]
    with arena(contestants, 2) as made:
        measure(made)


@without_nft
def test_who_means_something_else_makes_it_void() -> None:
    with arena([Unfair()], 1) as made, pytest.raises(UnequalError, match="unfair lets pass"):
        made.install(RULES)


def test_what_is_added_is_compared_round_by_round() -> None:
    busy, idle = Taken((300.0, 200.0, 100.0)), Taken((280.0, 170.0, 85.0))
    assert busy.over(idle) == 20.0
    assert busy.median == 200.0
    assert busy.quartiles == (150.0, 250.0)


@pytest.mark.parametrize(("count", "hosts"), [(10, 8), (16, 16), (10_000, 8192)])
def test_a_power_of_two_of_the_clients_send(count: int, hosts: int) -> None:
    assert Rules(count).hosts == hosts
    assert len(list(Rules(count).clients(4))) == count
