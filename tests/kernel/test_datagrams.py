"""UDP, ICMP echo and protocols without ports: directions, states, timeouts."""

from __future__ import annotations

import pytest
from kernel.laboratory import Laboratory, allow
from kernel.odd_frames import back, forward
from scapy.layers.inet import ICMP, UDP
from scapy.packet import Packet as Frame
from scapy.packet import Raw

from microseg.abi_outcome import Outcome
from microseg.abi_session import State
from microseg.abi_settings import DEFAULT_IDLE_S, Idle

WEB, APP = "10.1.1.0/24", "10.1.2.0/24"
OPENING, ANSWERED, STEADY, CLOSING, CLOSED = State


@pytest.fixture(autouse=True)
def policy(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP))


UDP_WAYS: dict[str, State] = {
    ">": OPENING,
    "> >": OPENING,
    "> <": ANSWERED,
    "> < <": ANSWERED,
    "> < >": STEADY,
}


@pytest.mark.parametrize("steps", UDP_WAYS)
def test_udp_is_steady_once_the_opener_speaks_again(lab: Laboratory, steps: str) -> None:
    for step in steps.split():
        there, again = UDP(sport=4000, dport=53), UDP(sport=53, dport=4000)
        assert lab.send(forward(there / b"?") if step == ">" else back(again / b"!")).passed
    session = lab.session()
    assert session.state is UDP_WAYS[steps]
    assert session.packets == (steps.count(">"), steps.count("<"))


def test_echo_is_steady_once_the_opener_asks_again(lab: Laboratory) -> None:
    states = []
    for frame in (forward(ICMP(type=8, id=7)), back(ICMP(type=0, id=7)), forward(ICMP(type=8, id=7, seq=1))):
        assert lab.send(frame).passed
        states.append(lab.session().state)
    assert states == [OPENING, ANSWERED, STEADY]
    assert lab.outcome(back(ICMP(type=0, id=7, seq=1))) is Outcome.PASS_SESSION


def test_echo_request_of_the_server_is_no_part_of_the_session(lab: Laboratory) -> None:
    lab.send(forward(ICMP(type=8, id=7)))
    assert lab.outcome(back(ICMP(type=8, id=7))) is Outcome.DROP_DEFAULT


IDLE: dict[str, tuple[list[Frame], Idle]] = {
    "UDP opening": ([forward(UDP(sport=1, dport=2))], Idle.UDP_OPENING),
    "UDP answered": ([forward(UDP(sport=1, dport=2)), back(UDP(sport=2, dport=1))], Idle.UDP_OPENING),
    "UDP": (
        [forward(UDP(sport=1, dport=2)), back(UDP(sport=2, dport=1)), forward(UDP(sport=1, dport=2))],
        Idle.UDP_STEADY,
    ),
    "echo": ([forward(ICMP(type=8, id=7))], Idle.ICMP),
    "GRE": ([forward(Raw(b"generic routing"), proto=47)], Idle.OTHER),
}


@pytest.mark.parametrize("name", IDLE)
def test_idle_timeout_is_the_protocol_s(lab: Laboratory, name: str) -> None:
    frames, expected = IDLE[name]
    for frame in frames:
        assert lab.send(frame).passed
    assert lab.session().idle_limit == DEFAULT_IDLE_S[expected] * lab.plane.read_settings().hz


def test_idle_timeouts_can_be_set(lab: Laboratory) -> None:
    lab.set(idle_s=DEFAULT_IDLE_S | {Idle.UDP_OPENING: 7})
    lab.send(forward(UDP(sport=1, dport=2)))
    assert lab.session().idle_limit == 7 * lab.plane.read_settings().hz
