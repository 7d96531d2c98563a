from __future__ import annotations

import ipaddress
from dataclasses import replace
from datetime import date

from microseg.policy.addresses import AddressSet
from microseg.policy.evaluate import evaluate
from microseg.policy.packet import Packet
from microseg.policy.rules import (
    ANY_NAMED_SERVICE,
    ANY_SET,
    Action,
    Default,
    Mode,
    NamedService,
    NamedSet,
    OrderedRule,
    Policy,
    Rule,
    Ruleset,
    Verdict,
)
from microseg.policy.services import ServiceSet
from microseg.source import Span

WEB = NamedSet("web", AddressSet.of("10.1.1.0/24"))
DB = NamedSet("db", AddressSet.of("10.1.3.0/24", "2001:db8:3::/48"))
SQL = NamedService("sql", ServiceSet.of(6, (5432, 5432)))


def at(line: int) -> Span:
    return Span("shop.mseg", line, 1, line, 20)


def policy(name: str, *rules: Rule, priority: int = 1000, mode: Mode = Mode.ENFORCE) -> Policy:
    return Policy(name, at(1), rules, priority, mode)


def sql_from(address: str) -> Packet:
    return Packet(ipaddress.ip_address(address), ipaddress.ip_address("10.1.3.9"), 6, 5432, 40000)


ALLOW_SQL = Rule(Action.ALLOW, WEB, DB, SQL, at(2))
DENY_ALL = Rule(Action.DENY, ANY_SET, DB, ANY_NAMED_SERVICE, at(3), log=True)


def decided_by(ruleset: Ruleset, packet: Packet) -> tuple[Verdict, Rule | Default]:
    decision = evaluate(ruleset, packet)
    decider = decision.decider
    return decision.verdict, decider.rule if isinstance(decider, OrderedRule) else decider


def test_the_first_matching_rule_decides() -> None:
    ruleset = Ruleset((policy("shop", ALLOW_SQL, DENY_ALL),))
    assert decided_by(ruleset, sql_from("10.1.1.7")) == (Verdict.ALLOW, ALLOW_SQL)
    assert decided_by(ruleset, sql_from("10.1.2.7")) == (Verdict.DENY, DENY_ALL)
    reversed_rules = Ruleset((policy("shop", DENY_ALL, ALLOW_SQL),))
    assert decided_by(reversed_rules, sql_from("10.1.1.7")) == (Verdict.DENY, DENY_ALL)


def test_lower_priority_numbers_come_first_whatever_the_order_of_text() -> None:
    late, early = policy("a", DENY_ALL, priority=20), policy("b", ALLOW_SQL, priority=10)
    for policies in ((late, early), (early, late)):
        assert decided_by(Ruleset(policies), sql_from("10.1.1.7"))[0] is Verdict.ALLOW


def test_the_default_decides_what_no_rule_matches() -> None:
    assert decided_by(Ruleset(), sql_from("10.1.1.7")) == (Verdict.DENY, Default())
    allowing = Ruleset(default=Default(Action.ALLOW, log=True))
    assert decided_by(allowing, sql_from("10.1.1.7"))[0] is Verdict.ALLOW
    assert evaluate(allowing, sql_from("10.1.1.7")).log


def test_audit_lets_denials_pass_and_leaves_allows_alone() -> None:
    ruleset = Ruleset((policy("trial", ALLOW_SQL, DENY_ALL, mode=Mode.AUDIT),))
    assert decided_by(ruleset, sql_from("10.1.1.7"))[0] is Verdict.ALLOW
    assert decided_by(ruleset, sql_from("10.1.2.7"))[0] is Verdict.AUDIT
    enforced = Ruleset((policy("shop", DENY_ALL),)).audited()
    assert decided_by(enforced, sql_from("10.1.2.7"))[0] is Verdict.AUDIT
    assert decided_by(Ruleset().audited(), sql_from("10.1.2.7"))[0] is Verdict.AUDIT


def test_both_ways_swaps_the_ends_and_keeps_the_service() -> None:
    rule = replace(ALLOW_SQL, both_ways=True)
    back = Packet(ipaddress.ip_address("10.1.3.9"), ipaddress.ip_address("10.1.1.7"), 6, 5432, 40000)
    assert evaluate(Ruleset((policy("shop", rule),)), back).verdict is Verdict.ALLOW
    assert evaluate(Ruleset((policy("shop", ALLOW_SQL),)), back).verdict is Verdict.DENY
    reply = replace(back, port=40000, source_port=5432)
    assert evaluate(Ruleset((policy("shop", rule),)), reply).verdict is Verdict.DENY


def test_a_rule_is_valid_through_its_last_day() -> None:
    rule = replace(ALLOW_SQL, expires=date(2027, 1, 31))
    ruleset = Ruleset((policy("shop", rule),))
    assert evaluate(ruleset.active_on(date(2027, 1, 31)), sql_from("10.1.1.7")).verdict is Verdict.ALLOW
    assert evaluate(ruleset.active_on(date(2027, 2, 1)), sql_from("10.1.1.7")).verdict is Verdict.DENY


def test_a_set_of_one_family_never_matches_the_other() -> None:
    packet = Packet(ipaddress.ip_address("2001:db8:1::1"), ipaddress.ip_address("2001:db8:3::1"), 6, 5432, 1)
    assert evaluate(Ruleset((policy("shop", ALLOW_SQL),)), packet).verdict is Verdict.DENY
