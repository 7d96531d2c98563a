"""What a policy says about single packets, as outcome, counters and events."""

from __future__ import annotations

import pytest
from kernel.laboratory import Laboratory, allow, deny, reject, tcp, udp

from microseg import abi
from microseg.abi_flow import Direction
from microseg.abi_outcome import Outcome
from microseg.policy.rules import Mode, Verdict
from microseg.reconcile.dataplane import RuleCount

WEB = "10.1.1.0/24"
APP = "10.1.2.0/24"


def test_no_policy_passes_everything_even_what_is_malformed(lab: Laboratory) -> None:
    assert lab.outcome(tcp("10.1.1.1", "10.1.2.1", 40000, 80)) is Outcome.PASS_NO_POLICY
    assert lab.outcome(b"\xff" * 60) is Outcome.PASS_NO_POLICY
    assert lab.sessions() == []


def test_allowed_packet_opens_a_session(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    assert lab.outcome(tcp("10.1.1.1", "10.1.2.1", 40000, 80)) is Outcome.PASS_NEW
    assert lab.session().client[1] == 40000


def test_denied_packet_leaves_no_session_and_says_so(lab: Laboratory) -> None:
    rule = deny(WEB, APP, "tcp/22")
    generation = lab.enforce(rule, default="allow")
    assert lab.outcome(tcp("10.1.1.1", "10.1.2.1", 40000, 22), Direction.EGRESS) is Outcome.DROP_DENIED
    assert lab.sessions() == []
    (event,) = lab.events()
    assert event.rule == lab.id_of(rule)
    assert event.generation == generation
    assert event.direction is Direction.EGRESS
    assert event.verdict is Verdict.DENY
    assert event.outcome is Outcome.DROP_DENIED
    assert event.source is not None
    assert event.destination is not None
    assert (str(event.source[0]), event.source[1]) == ("10.1.1.1", 40000)
    assert (str(event.destination[0]), event.destination[1]) == ("10.1.2.1", 22)
    assert (event.protocol, event.length) == (6, 60)


def test_no_rule_is_the_default_with_rule_0(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))
    assert lab.outcome(tcp("10.1.1.1", "10.9.9.9", 40000, 80)) is Outcome.DROP_DEFAULT
    (event,) = lab.events()
    assert (event.rule, event.verdict) == (0, Verdict.DENY)


def test_allowed_default_opens_sessions_without_events(lab: Laboratory) -> None:
    lab.enforce(deny(WEB, APP), default="allow")
    assert lab.outcome(udp("10.9.9.9", "10.1.2.1", 53, 53)) is Outcome.PASS_NEW
    assert lab.events() == []


def test_reject_drops_with_a_counter_of_its_own(lab: Laboratory) -> None:
    lab.enforce(reject(WEB, APP, "tcp/80"), default="reject")
    assert lab.outcome(tcp("10.1.1.1", "10.1.2.1", 40000, 80)) is Outcome.DROP_REJECTED
    assert lab.outcome(tcp("10.9.9.9", "10.1.2.1", 40000, 80)) is Outcome.DROP_REJECTED
    assert [event.verdict for event in lab.events()] == [Verdict.REJECT, Verdict.REJECT]


def test_audit_passes_and_reports_once_per_session(lab: Laboratory) -> None:
    rule = deny(WEB, APP, "tcp/80")
    lab.enforce(rule, mode=Mode.AUDIT, default="allow")
    syn = tcp("10.1.1.1", "10.1.2.1", 40000, 80)
    assert lab.outcome(syn) is Outcome.PASS_AUDIT
    assert lab.outcome(syn) is Outcome.PASS_SESSION
    (event,) = lab.events()
    assert (event.verdict, event.rule) == (Verdict.AUDIT, lab.id_of(rule))
    assert lab.session().verdict is Verdict.AUDIT


def test_log_reports_the_opening_packet_only(lab: Laboratory) -> None:
    rule = allow(WEB, APP, "tcp/80", log=True)
    lab.enforce(rule)
    lab.open_tcp()
    (event,) = lab.events()
    assert (event.verdict, event.outcome, event.rule) == (Verdict.ALLOW, Outcome.PASS_NEW, lab.id_of(rule))


def test_first_match_wins_over_a_wider_rule(lab: Laboratory) -> None:
    lab.enforce(allow("10.1.1.7", APP, "tcp/22"), deny(WEB, APP, "tcp/22"), allow(WEB, APP))
    assert lab.outcome(tcp("10.1.1.7", "10.1.2.1", 1, 22)) is Outcome.PASS_NEW
    assert lab.outcome(tcp("10.1.1.8", "10.1.2.1", 1, 22)) is Outcome.DROP_DENIED
    assert lab.outcome(tcp("10.1.1.8", "10.1.2.1", 1, 23)) is Outcome.PASS_NEW


def test_source_ports_decide(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "udp/67 from 68"))
    assert lab.outcome(udp("10.1.1.1", "10.1.2.1", 68, 67)) is Outcome.PASS_NEW
    assert lab.outcome(udp("10.1.1.1", "10.1.2.1", 69, 67)) is Outcome.DROP_DEFAULT


def test_service_by_source_port_alone(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "udp from 53"))
    assert lab.outcome(udp("10.1.1.1", "10.1.2.1", 53, 9999)) is Outcome.PASS_NEW
    assert lab.outcome(udp("10.1.1.1", "10.1.2.1", 54, 9999)) is Outcome.DROP_DEFAULT


def test_rules_count_the_packets_they_judge(lab: Laboratory) -> None:
    allowed, denied = allow(WEB, APP, "tcp/80"), deny(WEB, APP, "tcp/25")
    lab.enforce(allowed, denied)
    before = lab.plane.rule_counts()
    lab.open_tcp()
    lab.send(tcp("10.1.1.1", "10.1.2.1", 40000, 25))
    lab.send(tcp("10.1.1.1", "10.1.2.1", 40000, 25))
    after = lab.plane.rule_counts()
    nothing = RuleCount(0, 0)
    for rule, packets in ((allowed, 1), (denied, 2)):
        old, new = before.get(lab.id_of(rule), nothing), after[lab.id_of(rule)]
        assert (new.packets - old.packets, new.bytes - old.bytes) == (packets, 60 * packets)


@pytest.mark.only_tc
def test_question_to_a_standby_slot_changes_nothing(lab: Laboratory) -> None:
    live = lab.enforce(allow(WEB, APP, "tcp/80"))
    refused = deny(WEB, APP, "tcp/80", log=True)
    standby = lab.stage(refused)
    syn = tcp("10.1.1.1", "10.1.2.1", 40000, 80)
    before = lab.stats()
    answer = lab.ask(syn, standby)
    assert (answer.verdict, answer.rule, answer.log) == (Verdict.DENY, lab.id_of(refused), True)
    assert lab.ask(syn, live).verdict is Verdict.ALLOW
    assert lab.stats() == before
    assert lab.sessions() == []
    assert lab.events() == []


@pytest.mark.only_tc
def test_question_about_a_generation_that_is_not_there(lab: Laboratory) -> None:
    generation = lab.enforce(allow(WEB, APP))
    answer = lab.ask(tcp("10.1.1.1", "10.1.2.1", 1, 2), generation + 2)
    assert (answer.outcome, answer.verdict) == (Outcome.DROP_SLOT, None)


def test_slot_of_another_generation_fails_closed(lab: Laboratory) -> None:
    generation = lab.enforce(allow(WEB, APP))
    lab.plane.write_root(abi.Root(generation + 2))
    assert lab.outcome(tcp("10.1.1.1", "10.1.2.1", 1, 2)) is Outcome.DROP_SLOT


def test_deadline_brings_the_other_slot_back(lab: Laboratory) -> None:
    first = lab.enforce(allow(WEB, APP, "tcp/80"))
    second = lab.stage(deny(WEB, APP))
    later = lab.plane.boot_time_s() + 1000
    lab.plane.write_root(abi.Root(second, later))
    assert lab.outcome(tcp("10.1.1.1", "10.1.2.1", 1, 80)) is Outcome.DROP_DENIED
    lab.plane.write_root(abi.Root(second, lab.plane.boot_time_s()))
    assert lab.outcome(tcp("10.1.1.1", "10.1.2.1", 1, 80)) is Outcome.PASS_NEW
    assert lab.session().generation == first


def test_deadline_of_the_first_apply_brings_no_policy_back(lab: Laboratory) -> None:
    generation = lab.stage(deny(WEB, APP))
    lab.plane.write_config(1 - (generation & 1), abi.SlotConfig())
    lab.plane.write_root(abi.Root(generation, lab.plane.boot_time_s()))
    assert lab.outcome(tcp("10.1.1.1", "10.1.2.1", 1, 80)) is Outcome.PASS_NO_POLICY
