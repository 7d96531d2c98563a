"""The way of a packet through a policy, and what counts as a difference to another way."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from ipaddress import ip_address
from random import Random

import pytest
from random_policies import packets, policy_text

from microseg.abi_outcome import Outcome
from microseg.analysis.trace import Way, differences, evaluator_agrees, trace
from microseg.compiler.pipeline import Compilation, compile_tree
from microseg.policy.packet import Packet
from microseg.policy.rules import Verdict
from microseg.source import MemoryTree

SHOP = """
group web = 10.1.1.0/24
group db  = 10.1.3.10 - 10.1.3.19
policy shop {
  allow web -> db : tcp/5432, udp/5432 log
  deny  any -> db
}
default reject
"""


def compiled(text: str) -> Compilation:
    return compile_tree(MemoryTree({"shop.mseg": text.encode()}), date(2026, 1, 1))


def way_of(src: str, dst: str, port: int, text: str = SHOP) -> tuple[Way, Compilation]:
    compilation = compiled(text)
    assert compilation.image
    return trace(compilation.image, Packet(ip_address(src), ip_address(dst), 6, port, 40000)), compilation


def test_the_stations_of_an_allowed_packet() -> None:
    way, compilation = way_of("10.1.1.5", "10.1.3.10", 5432)
    assert compilation.image
    names = compilation.image.set_names, compilation.image.service_names
    assert {names[0][each] for each in way.src_sets} == {"web", "any"}
    assert {names[0][each] for each in way.dst_sets} == {"db", "any"}
    assert {names[1][each] for each in way.services} == {"tcp/5432, udp/5432", "any"}
    assert way.judgement
    assert (way.judgement.verdict, way.judgement.log, way.judgement.precedence) == (Verdict.ALLOW, True, 1)
    assert way.judgement.probes >= 3
    assert compilation.image.origins[way.judgement.rule_id].span
    assert evaluator_agrees(compilation.ruleset, way)


def test_the_default_has_no_precedence() -> None:
    way, compilation = way_of("10.1.1.5", "10.9.9.9", 80)
    assert way.judgement
    assert (way.judgement.verdict, way.judgement.rule_id, way.judgement.precedence) == (
        Verdict.REJECT,
        0,
        None,
    )
    assert evaluator_agrees(compilation.ruleset, way)


def test_the_evaluator_is_asked_about_the_compiled_policy() -> None:
    for seed in range(30):
        rng = Random(f"trace {seed}")
        compilation = compiled(policy_text(rng))
        assert compilation.image
        for packet in packets(rng, compilation.ruleset, 10):
            assert evaluator_agrees(compilation.ruleset, trace(compilation.image, packet))


@pytest.mark.parametrize("field", [{"verdict": Verdict.DENY}, {"rule_id": 1}, {"log": False}])
def test_a_wrong_image_is_noticed(field: dict[str, object]) -> None:
    way, compilation = way_of("10.1.1.5", "10.1.3.10", 5432)
    assert way.judgement
    wrong = replace(way, judgement=replace(way.judgement, **field))  # type: ignore[arg-type]
    assert not evaluator_agrees(compilation.ruleset, wrong)


def test_equal_ways_do_not_differ() -> None:
    way, _ = way_of("10.1.1.5", "10.1.3.10", 5432)
    assert differences(way, way, same_entries=True) == ()


def test_every_station_counts_between_equal_policies() -> None:
    way, _ = way_of("10.1.1.5", "10.1.3.10", 5432)
    assert way.judgement
    other = Way(
        Packet(ip_address("10.1.1.6"), ip_address("10.1.3.10"), 6, 5432, 40000),
        (1,),
        (2,),
        (3,),
        replace(way.judgement, verdict=Verdict.DENY, log=False, probes=99, precedence=None, rule_id=7),
    )
    assert differences(way, other, same_entries=True) == (
        "verdict",
        "log",
        "packet",
        "sets of the source",
        "sets of the destination",
        "services",
        "probes",
        "precedence",
        "rule",
    )
    assert differences(way, other, same_entries=False) == ("verdict", "log")


def test_of_two_policies_only_what_becomes_of_the_packet_counts() -> None:
    way, _ = way_of("10.1.1.5", "10.1.3.10", 5432)
    other, _ = way_of("10.1.1.5", "10.1.3.10", 5432, SHOP.replace("web -> db", "any -> db"))
    assert differences(way, other, same_entries=True)
    assert differences(way, other, same_entries=False) == ()


def test_what_is_judged_by_one_alone_differs() -> None:
    way, _ = way_of("10.1.1.5", "10.1.3.10", 5432)
    unread = Way(why="it is ARP")
    dropped = Way(outcome=Outcome.DROP_TRUNCATED, why=Outcome.DROP_TRUNCATED.meaning)
    assert differences(way, dropped, same_entries=True) == ("whether it is judged",)
    assert differences(unread, way, same_entries=True) == ("whether it is judged",)
    assert differences(unread, dropped, same_entries=True) == ()


def test_a_documented_exception_is_no_difference() -> None:
    way, _ = way_of("10.1.1.5", "10.1.3.10", 5432)
    assert differences(way, Way(outcome=Outcome.PASS_NEIGHBOUR), same_entries=True) == ()
