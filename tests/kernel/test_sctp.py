"""SCTP: how far an association has come after which packets, who may open one, timeouts."""

from __future__ import annotations

import pytest
from kernel.laboratory import Laboratory, allow
from kernel.odd_frames import CLIENT, back, forward
from scapy.layers.sctp import (
    SCTP,
    SCTPChunkAbort,
    SCTPChunkCookieAck,
    SCTPChunkCookieEcho,
    SCTPChunkData,
    SCTPChunkHeartbeatAck,
    SCTPChunkHeartbeatReq,
    SCTPChunkInit,
    SCTPChunkInitAck,
    SCTPChunkSACK,
    SCTPChunkShutdown,
    SCTPChunkShutdownAck,
    SCTPChunkShutdownComplete,
)
from scapy.packet import Packet as Frame

from microseg.abi_outcome import Outcome
from microseg.abi_session import State
from microseg.abi_settings import DEFAULT_IDLE_S, Idle

WEB, APP = "10.1.1.0/24", "10.1.2.0/24"
OPENING, ANSWERED, STEADY, CLOSING, CLOSED = State
CHUNKS = {
    "init": SCTPChunkInit(),
    "init-ack": SCTPChunkInitAck(),
    "cookie": SCTPChunkCookieEcho(cookie=b"baked"),
    "cookie-ack": SCTPChunkCookieAck(),
    "data": SCTPChunkData(data=b"hello"),
    "sack": SCTPChunkSACK(),
    "heartbeat": SCTPChunkHeartbeatReq(),
    "heartbeat-ack": SCTPChunkHeartbeatAck(),
    "shutdown": SCTPChunkShutdown(),
    "shutdown-ack": SCTPChunkShutdownAck(),
    "complete": SCTPChunkShutdownComplete(),
    "abort": SCTPChunkAbort(),
}


@pytest.fixture(autouse=True)
def policy(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP))


def sctp(step: str) -> Frame:
    """Return the packet of a step: "> init" is an INIT of the client."""
    side, chunk = step.split()
    if side == ">":
        return forward(SCTP(sport=5000, dport=3868) / CHUNKS[chunk])
    return back(SCTP(sport=3868, dport=5000) / CHUNKS[chunk])


def play(lab: Laboratory, steps: str) -> State:
    for step in steps.split(", "):
        sent = lab.send(sctp(step))
        assert sent.passed, (step, sent.outcome)
    return lab.session().state


HANDSHAKE = "> init, < init-ack, > cookie, < cookie-ack"
WAYS: dict[str, tuple[str, State]] = {
    "opening": ("> init", OPENING),
    "answered": ("> init, < init-ack", ANSWERED),
    "handshake": (HANDSHAKE, STEADY),
    "data both ways": (f"{HANDSHAKE}, > data, < sack, < data, > sack", STEADY),
    "heartbeats both ways": (
        f"{HANDSHAKE}, > heartbeat, < heartbeat-ack, < heartbeat, > heartbeat-ack",
        STEADY,
    ),
    "restart of the client": (f"{HANDSHAKE}, > init, < init-ack", STEADY),
    "shutdown": (f"{HANDSHAKE}, > shutdown", CLOSING),
    "shutdown, agreed": (f"{HANDSHAKE}, > shutdown, < shutdown-ack, > complete", CLOSED),
    "shutdown by the server": (f"{HANDSHAKE}, < shutdown, > data, > shutdown-ack, < complete", CLOSED),
    "abort": (f"{HANDSHAKE}, < abort", CLOSED),
    "forged abort": (f"{HANDSHAKE}, < abort, < data", STEADY),
    "refused": ("> init, < abort", CLOSED),
    "another path": ("> heartbeat, < heartbeat-ack, > data", STEADY),
}


@pytest.mark.parametrize("name", WAYS)
def test_sctp_state_after_packets(lab: Laboratory, name: str) -> None:
    steps, expected = WAYS[name]
    assert play(lab, steps) is expected


@pytest.mark.parametrize("chunk", sorted(set(CHUNKS) - {"init", "heartbeat"}))
def test_sctp_opens_by_init_or_heartbeat(lab: Laboratory, chunk: str) -> None:
    assert lab.outcome(sctp(f"> {chunk}")) is Outcome.DROP_NO_SESSION


def test_sctp_server_does_not_open(lab: Laboratory) -> None:
    play(lab, HANDSHAKE)
    assert lab.outcome(sctp("< init")) is Outcome.DROP_DEFAULT


def test_closed_association_opens_again(lab: Laboratory) -> None:
    play(lab, f"{HANDSHAKE}, < abort")
    assert lab.outcome(sctp("> init")) is Outcome.PASS_NEW
    assert lab.session().state is OPENING


def test_sctp_association_in_progress_is_adopted(lab: Laboratory) -> None:
    lab.set(adopt_until_s=lab.plane.boot_time_s() + 1000)
    assert lab.outcome(sctp("< data")) is Outcome.PASS_ADOPTED
    assert str(lab.session().client[0]) == CLIENT


def test_sctp_without_a_chunk_is_too_short(lab: Laboratory) -> None:
    assert lab.outcome(forward(SCTP(sport=5000, dport=3868))) is Outcome.DROP_TRUNCATED


IDLE: dict[str, tuple[list[Frame], Idle]] = {
    "SCTP opening": ([sctp("> init")], Idle.SCTP_OPENING),
    "SCTP": ([sctp(step) for step in HANDSHAKE.split(", ")], Idle.SCTP_STEADY),
    "SCTP closed": ([sctp("> init"), sctp("< abort")], Idle.SCTP_CLOSED),
}


@pytest.mark.parametrize("name", IDLE)
def test_idle_timeout_is_the_protocol_s(lab: Laboratory, name: str) -> None:
    frames, expected = IDLE[name]
    for frame in frames:
        assert lab.send(frame).passed
    assert lab.session().idle_limit == DEFAULT_IDLE_S[expected] * lab.plane.read_settings().hz
