"""Floods that try to push established connections out: half-open flows, and packets that are denied.

100,000 packets of each in `make test`, two million in `make test-all` (MICROSEG_TEST_FULL=1), against real
connections between two hosts and a session map not much larger than they need.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from kernel.flood_frames import flood_from, send_until
from kernel.laboratory import ANY, Laboratory, allow, run
from kernel.live_network import Connection, TwoHosts, many_files, two_hosts
from long_runs import amount

from microseg.abi_flow import Stats
from microseg.abi_outcome import Outcome
from microseg.abi_session import State
from microseg.reconcile.dataplane import Attachment

PACKETS = amount(emulated=20_000, short=100_000, long=2_000_000)
CONNECTIONS = 1000
SERVICE, FLOODED, CLOSED = 7000, 7001, 7002


@pytest.fixture
def network(namespace: None) -> Iterator[TwoHosts]:  # noqa: ARG001  # laid in it
    with many_files(4 * CONNECTIONS), two_hosts() as made:
        run("ip", "route", "add", "default", "via", made.far.address)
        run("ip", "neighbour", "replace", made.far.address, "lladdr", made.far.mac, "dev", made.near.device)
        yield made


@pytest.fixture
def connections(lab: Laboratory, network: TwoHosts) -> Iterator[list[Connection]]:
    lab.plane.attach([Attachment(network.near.device, lab.hook)])
    lab.enforce(
        allow(ANY, network.near.address, f"tcp/{SERVICE}"), allow(ANY, network.near.address, f"tcp/{FLOODED}")
    )
    with ExitStack() as stack:
        made = network.connect(CONNECTIONS, [SERVICE])
        for connection in made:
            stack.enter_context(connection.client)
            stack.enter_context(connection.server)
        yield made
    lab.plane.detach([network.near.device])


def steady(lab: Laboratory) -> int:
    return sum(session.state is State.STEADY and session.server[1] == SERVICE for session in lab.sessions())


def keep_talking(connections: list[Connection]) -> Iterator[None]:
    """Use half of the connections in turn, so that the other half is idle throughout."""
    while True:
        for connection in connections[: CONNECTIONS // 2]:
            connection.echo(b"still here")
            yield


def change(before: Stats, after: Stats, outcome: Outcome) -> int:
    return after.outcomes[outcome] - before.outcomes[outcome]


def test_half_open_flows_evict_no_connection(
    lab: Laboratory, network: TwoHosts, connections: list[Connection]
) -> None:
    assert steady(lab) == CONNECTIONS
    talk = keep_talking(connections)
    before = lab.stats()
    with flood_from(network) as flood, socket.create_server(("", FLOODED), backlog=64):
        sent = send_until(PACKETS, lambda: flood.half_open(FLOODED), lambda _: next(talk))
    after = lab.stats()
    # A little of it may be lost before the filter, in the queue of a busy CPU.
    assert change(before, after, Outcome.PASS_NEW) > 0.9 * sent
    assert after.sessions_created - before.sessions_created > 0.9 * sent
    assert change(before, after, Outcome.PASS_SESSION) > 0.5 * sent, "the listener answers most of them"
    all_flow(lab, connections)


def test_denied_packets_evict_no_connection(
    lab: Laboratory, network: TwoHosts, connections: list[Connection]
) -> None:
    talk = keep_talking(connections)
    before = lab.stats()
    with flood_from(network) as flood:
        sent = send_until(PACKETS, lambda: flood.denied(CLOSED), lambda _: next(talk))
    after = lab.stats()
    assert 0.9 * sent < after.dropped - before.dropped <= sent
    assert after.sessions_created == before.sessions_created
    all_flow(lab, connections)


def all_flow(lab: Laboratory, connections: list[Connection]) -> None:
    before = lab.stats()
    for connection in connections:
        connection.echo(b"after the flood")
    assert steady(lab) == CONNECTIONS
    after = lab.stats()
    assert after.sessions_created == before.sessions_created, "a connection had lost its session"
    assert after.dropped == before.dropped
