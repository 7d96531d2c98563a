"""A policy change under a thousand live connections: half of them end at once, the others notice nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from kernel.laboratory import ANY, Laboratory, allow
from kernel.live_network import Connection, TwoHosts, many_files, two_hosts
from kernel.live_traffic import PingPong, bytes_received, witness_of

from microseg.abi import Root
from microseg.abi_flow import Event
from microseg.abi_outcome import Outcome
from microseg.reconcile.dataplane import Attachment

CONNECTIONS = 1000
KEPT, REVOKED = 7100, 7101
AFTERWARDS_S = 1.5
"""Long enough for three retransmissions, which begin after 200 ms."""
PATIENCE_S = 20


@pytest.fixture
def network(lab: Laboratory, namespace: None) -> Iterator[TwoHosts]:  # noqa: ARG001  # laid in it
    with many_files(4 * CONNECTIONS), two_hosts() as made:
        lab.plane.attach([Attachment(made.near.device, lab.hook)])
        yield made
        lab.plane.detach([made.near.device])


@pytest.fixture
def connections(lab: Laboratory, network: TwoHosts) -> Iterator[list[Connection]]:
    lab.enforce(*(allow(ANY, network.near.address, f"tcp/{port}") for port in (KEPT, REVOKED)))
    with ExitStack() as stack:
        made = network.connect(CONNECTIONS, [KEPT, REVOKED])
        for connection in made:
            stack.enter_context(connection.client)
            stack.enter_context(connection.server)
        yield made


def wait_until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def ports_of(event: Event) -> set[int]:
    assert event.source is not None
    assert event.destination is not None
    return {event.source[1], event.destination[1]}


def test_revoked_connections_stop_at_once_and_no_other_one_notices(
    lab: Laboratory, network: TwoHosts, connections: list[Connection]
) -> None:
    kept, revoked = connections[0::2], connections[1::2]
    with PingPong(connections) as traffic, witness_of(network.near.device, REVOKED) as witness:
        wait_until(lambda: min(traffic.turns) > 2, "traffic on every connection")
        generation = lab.stage(allow(ANY, network.near.address, f"tcp/{KEPT}"))
        before = lab.stats()
        assert any(packet.payload for packet in witness.seen())
        passes_before = traffic.passes

        lab.plane.write_root(Root(generation))
        lab.plane.wait_for_readers()

        flipped_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
        incoming_at_flip = [bytes_received(connection.server) for connection in revoked]
        turns_at_flip, passes_at_flip = list(traffic.turns), traffic.passes
        time.sleep(AFTERWARDS_S)
        wait_until(lambda: all(map(int.__gt__, traffic.turns[0::2], turns_at_flip[0::2])), "the kept ones")
        late = [packet for packet in witness.seen() if packet.time_ns > flipped_ns and packet.payload]
    incoming = [bytes_received(connection.server) for connection in revoked]
    lab.plane.detach([network.near.device])  # counts nothing more
    after = lab.stats()

    assert passes_at_flip > passes_before, "there was traffic while the policy changed"
    assert late == [], "payload left after the change"
    assert incoming == incoming_at_flip, "payload came in after the change"
    dropped = {outcome: after.outcomes[outcome] - before.outcomes[outcome] for outcome in Outcome}
    assert dropped[Outcome.DROP_REVOKED] == len(revoked)
    events = lab.events()
    assert (after.events_lost, after.events_limited) == (before.events_lost, before.events_limited)
    assert {event.outcome for event in events} == {Outcome.DROP_REVOKED, Outcome.DROP_NO_SESSION}
    assert len(events) == after.dropped - before.dropped
    assert all(REVOKED in ports_of(event) for event in events), "another connection lost a packet to policy"
    assert after.rejudged - before.rejudged >= len(kept)
