"""The flow cache: what it answers for, until when, and that no packet is left out of the counts."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from kernel import cache_lines
from kernel.laboratory import ANY, Laboratory, allow, deny, tcp, tcp6, udp
from scapy.packet import Packet as Frame

from microseg.abi import Root
from microseg.abi_outcome import Outcome
from microseg.abi_session import Session, State
from microseg.abi_settings import Idle
from microseg.kernel.bpf import possible_cpus
from microseg.kernel.shapes import map_shapes
from microseg.reconcile.dataplane import Sizing

CLIENT, SERVER = "10.1.1.1", "10.1.2.1"
CLIENT6, SERVER6 = "2001:db8:1::1", "2001:db8:2::1"
LENGTH = 60
BUSY = 1000


def forward(flags: str = "A", sport: int = 40000) -> bytes:
    return bytes(tcp(CLIENT, SERVER, sport, 80, flags)).ljust(LENGTH, b"\0")


def back(flags: str = "A", sport: int = 40000) -> bytes:
    return bytes(tcp(SERVER, CLIENT, 80, sport, flags)).ljust(LENGTH, b"\0")


@pytest.fixture
def others() -> list[int]:
    """Two CPUs."""
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs two CPUs")
    return [0, 1]


def raw(lab: Laboratory) -> Session:
    """Return the only session as its map has it, without what the cache holds."""
    ((key, value),) = lab.plane.map("session4").entries().items()
    return Session.from_bytes(key, value)


def established(lab: Laboratory) -> None:
    """Open a connection: two packets of the client, one of the server; nothing cached yet."""
    lab.enforce(allow(CLIENT, SERVER, "tcp/80"))
    lab.open_tcp()


def test_what_lines_answer_for_is_in_the_session_s_counts(lab: Laboratory) -> None:
    established(lab)
    before = lab.stats().outcomes[Outcome.PASS_SESSION]
    lab.flows.run(forward(), repeat=BUSY)
    lab.flows.run(back(), repeat=BUSY)
    assert lab.stats().outcomes[Outcome.PASS_SESSION] == before + 2 * BUSY
    assert lab.session().packets == (BUSY + 2, BUSY + 1)
    assert lab.session().octets == ((BUSY + 2) * LENGTH, (BUSY + 1) * LENGTH)
    assert sum(raw(lab).packets) < BUSY, "nothing was cached"


@pytest.mark.parametrize("version", [4, 6])
def test_both_families(lab: Laboratory, version: int) -> None:
    make, src, dst = (tcp, CLIENT, SERVER) if version == 4 else (tcp6, CLIENT6, SERVER6)
    lab.enforce(allow(src, dst))
    for frame in (make(src, dst, 9, 80, "S"), make(dst, src, 80, 9, "SA"), make(src, dst, 9, 80, "A")):
        assert lab.send(frame).passed
    lab.flows.run(bytes(make(src, dst, 9, 80, "A", b"payload")), repeat=BUSY)
    lab.flows.run(bytes(make(dst, src, 80, 9, "A", b"payload")), repeat=BUSY)
    assert lab.session().packets == (BUSY + 2, BUSY + 1)
    held = cache_lines.held(lab.plane)
    assert sorted((one.packets, one.from_second) for one in held) == [(BUSY - 1, False), (BUSY - 1, True)]


def test_counts_are_whole_when_a_flow_moves_between_cpus(lab: Laboratory, others: list[int]) -> None:
    established(lab)
    for round_ in range(1, 6):
        for cpu in others:
            with cache_lines.on(cpu):
                lab.flows.run(forward(), repeat=BUSY)
        assert lab.session().packets == (2 * BUSY * round_ + 2, 1)
        cache_lines.older(lab.plane, (round_ % 2) * lab.flows.settings().hz)
    assert len(cache_lines.held(lab.plane)) == len(others)


@pytest.mark.only_tc
def test_a_line_is_taken_by_others_and_its_counts_reach_the_session(lab: Laboratory) -> None:
    """Flows whose lines have run out, others that take some of these, and the first ones again."""
    established(lab)
    ((key, value),) = lab.plane.map("session4").entries().items()
    first, second = range(20000, 20400), range(30000, 30400)
    ports = [*first, *second]
    keys = {key[:8] + port.to_bytes(2, "big") + key[10:]: value for port in ports}
    lab.plane.map("session4").update_many(keys)
    for group in (first, second, first):
        for port in group:
            lab.flows.run(forward(sport=port), repeat=3)
        cache_lines.older(lab.plane, lab.flows.settings().hz)
    sessions = {one.client[1]: one.packets for one in lab.sessions() if one.client[1] in ports}
    assert sessions == dict.fromkeys(first, (2 + 6, 1)) | dict.fromkeys(second, (2 + 3, 1))
    assert len(cache_lines.held(lab.plane)) < len(ports), "no flow took the line of another"


def test_a_busy_flow_gets_a_line_though_all_are_taken(lab: Laboratory) -> None:
    established(lab)
    until = lab.flows.now() + lab.flows.settings().hz
    cache_lines.occupy(lab.plane, lab.plane.read_root().generation, until)
    lab.flows.run(forward(), repeat=BUSY)
    assert raw(lab).packets[0] <= 64, "it asked its session all the time"
    assert lab.session().packets == (BUSY + 2, 1)


@pytest.mark.parametrize("frame", [forward(), back()], ids=["forward", "back"])
def test_a_revoked_flow_stops_at_its_next_packet_on_every_cpu(
    lab: Laboratory, others: list[int], frame: bytes
) -> None:
    established(lab)
    for cpu in others:
        with cache_lines.on(cpu):
            lab.flows.run(frame, repeat=BUSY)
    lab.enforce(deny(CLIENT, SERVER))
    outcomes = []
    for cpu in others:
        with cache_lines.on(cpu):
            outcomes.append(lab.outcome(frame))
    assert outcomes == [Outcome.DROP_REVOKED, Outcome.DROP_NO_SESSION]


def test_a_deadline_revokes_at_once(lab: Laboratory) -> None:
    before = lab.enforce(deny(CLIENT, SERVER))
    established(lab)
    lab.flows.run(forward(), repeat=BUSY)
    generation = lab.plane.read_root().generation
    assert generation != before
    lab.plane.write_root(Root(generation, lab.plane.boot_time_s()))
    assert lab.outcome(forward()) is Outcome.DROP_REVOKED


def test_rolled_back_a_line_of_a_revoked_session_does_not_come_to_life(lab: Laboratory) -> None:
    established(lab)
    first = lab.plane.read_root()
    lab.flows.run(forward(), repeat=BUSY)
    lab.flows.run(back(), repeat=BUSY)
    lab.enforce(deny(CLIENT, SERVER))
    assert lab.outcome(forward()) is Outcome.DROP_REVOKED
    lab.plane.write_root(first)
    assert [lab.outcome(each) for each in (forward(), back())] == [Outcome.DROP_NO_SESSION] * 2


@pytest.mark.parametrize("flags", ["FA", "RA", "S"])
def test_signals_end_the_lines_of_both_directions(lab: Laboratory, flags: str) -> None:
    established(lab)
    lab.flows.run(forward(), repeat=BUSY)
    lab.flows.run(back(), repeat=BUSY)
    assert lab.outcome(forward(flags)) is Outcome.PASS_SESSION
    assert cache_lines.held(lab.plane) == []
    assert raw(lab).packets == (BUSY + 3, BUSY + 1)


def test_after_the_end_no_line_is_given(lab: Laboratory) -> None:
    established(lab)
    lab.send(forward("FA"))
    lab.flows.run(forward(), repeat=BUSY)
    assert (raw(lab).packets, raw(lab).state) == ((BUSY + 3, 1), State.CLOSING)


def test_a_line_speaks_for_a_second_at_most(lab: Laboratory) -> None:
    established(lab)
    before, hz = lab.flows.now(), lab.flows.settings().hz
    lab.flows.run(forward(), repeat=BUSY)
    (until,) = cache_lines.untils(lab.plane)
    assert before + hz <= until <= lab.flows.now() + hz
    assert raw(lab).last_seen == until, "the session could time out while the line answers"


def test_a_line_speaks_for_an_eighth_of_the_idle_timeout(lab: Laboratory) -> None:
    settings = lab.plane.read_settings()
    lab.plane.write_settings(replace(settings, idle_s=settings.idle_s | {Idle.TCP_STEADY: 4}))
    established(lab)
    before = lab.flows.now()
    lab.flows.run(forward(), repeat=BUSY)
    (until,) = cache_lines.untils(lab.plane)
    assert before < until <= lab.flows.now() + settings.hz // 2


def test_an_evicted_session_is_answered_for_a_second_only(lab: Laboratory) -> None:
    established(lab)
    lab.flows.run(forward(), repeat=BUSY)
    sessions = lab.plane.map("session4")
    sessions.delete_many(list(sessions.entries()))
    assert lab.outcome(forward()) is Outcome.PASS_SESSION
    cache_lines.older(lab.plane, lab.flows.settings().hz)
    assert lab.outcome(forward()) is Outcome.DROP_NO_SESSION


def test_counts_of_an_earlier_session_are_not_those_of_the_next(lab: Laboratory, others: list[int]) -> None:
    """On another CPU, since where a connection ends its lines do too."""
    established(lab)
    with cache_lines.on(others[0]):
        lab.flows.run(forward(), repeat=BUSY)
    with cache_lines.on(others[1]):
        for frame in (forward("FA"), back("FA"), forward("S"), back("SA"), forward("A")):
            assert lab.send(frame).passed
    assert lab.session().packets == (2, 1)
    cache_lines.older(lab.plane, lab.flows.settings().hz)
    with cache_lines.on(others[0]):
        assert lab.outcome(forward()) is Outcome.PASS_SESSION
    assert lab.session().packets == (3, 1)


def test_a_line_full_of_octets_hands_them_over(lab: Laboratory) -> None:
    """A line holds 2 GiB; a byte count of its own shows what happens there."""
    established(lab)
    lab.flows.run(forward(), repeat=2)
    full = 1 << 31
    cache_lines.put_octets(lab.plane, full)
    lab.flows.run(forward(), repeat=2)
    assert lab.session().octets == (full + 6 * LENGTH, LENGTH)


def udp_life(sport: int) -> list[Frame]:
    there, answer = udp(CLIENT, SERVER, sport, 53), udp(SERVER, CLIENT, 53, sport)
    return [there, answer, there]


def test_events_and_rules_are_counted_as_without_a_cache(lab: Laboratory) -> None:
    rule = allow(ANY, ANY, "udp/53", log=True)
    lab.enforce(rule)
    for frame in udp_life(4000):
        lab.send(frame)
    lab.flows.run(bytes(udp(CLIENT, SERVER, 4000, 53)).ljust(LENGTH, b"\0"), repeat=BUSY)
    assert len(lab.events()) == 1
    assert lab.plane.rule_counts()[lab.id_of(rule)].packets == 1


@pytest.mark.parametrize("sizing", [Sizing(), Sizing(sessions=1, sessions6=1), Sizing(sessions=10**6)])
def test_places_are_a_power_of_two_on_each_cpu(sizing: Sizing) -> None:
    shapes = map_shapes(sizing)
    for name in ("flow4", "flow6"):
        places, rest = divmod(shapes[name].max_entries, possible_cpus())
        assert rest == 0
        assert places >= 2
        assert places & (places - 1) == 0
