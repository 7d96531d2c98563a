"""TCP: how far a session has come after which packets, and what no forged packet can do to it."""

from __future__ import annotations

import pytest
from kernel.laboratory import Laboratory, allow, deny, tcp
from kernel.opening_sets import opening
from scapy.layers.inet import TCP
from scapy.packet import Packet as Frame

from microseg.abi_outcome import Outcome
from microseg.abi_session import SessionFlag, State
from microseg.abi_settings import DEFAULT_IDLE_S, Idle

WEB, APP = "10.1.1.0/24", "10.1.2.0/24"
CLIENT, SERVER = "10.1.1.1", "10.1.2.1"


@pytest.fixture(autouse=True)
def policy(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"))


def frame(step: str) -> Frame:
    """Return the packet of a step: "> S" is a SYN of the client, "< SA" a SYN-ACK of the server."""
    side, flags = step.split()
    if side == ">":
        return tcp(CLIENT, SERVER, 40000, 80, flags)
    return tcp(SERVER, CLIENT, 80, 40000, flags)


def play(lab: Laboratory, steps: str) -> list[State]:
    """Send packets that all pass, and return the states after each."""
    states = []
    for step in steps.split(", "):
        sent = lab.send(frame(step))
        assert sent.passed, (step, sent.outcome)
        states.append(lab.session().state)
    return states


OPENING, ANSWERED, STEADY, CLOSING, CLOSED = State
HANDSHAKE = "> S, < SA, > A"

WAYS: dict[str, tuple[str, State]] = {
    "handshake": (HANDSHAKE, STEADY),
    "opening": ("> S", OPENING),
    "opening, repeated": ("> S, > S", OPENING),
    "answered": ("> S, < SA", ANSWERED),
    "answer, repeated": ("> S, < SA, < SA", ANSWERED),
    "opening repeated after the answer": ("> S, < SA, > S", ANSWERED),
    "challenge of a half-open server": ("> S, < A", OPENING),
    "that the client resets": ("> S, < A, > R", CLOSED),
    "ECN set-up": ("> SEC, < SAE, > A", STEADY),
    "data with the last packet of the handshake": ("> S, < SA, > PA", STEADY),
    "server's data before it": ("> S, < SA, < PA, > A", STEADY),
    "fast open": ("> S, < SA, < PA, < PA, > A", STEADY),
    "client closes": (f"{HANDSHAKE}, > FA", CLOSING),
    "server closes": (f"{HANDSHAKE}, < FA", CLOSING),
    "half-closed goes on": (f"{HANDSHAKE}, > FA, < A, < PA, > A", CLOSING),
    "both close": (f"{HANDSHAKE}, > FA, < FA", CLOSED),
    "both close, last acknowledgement": (f"{HANDSHAKE}, > FA, < A, < FA, > A", CLOSED),
    "repeated close": (f"{HANDSHAKE}, > FA, > FA, > FA", CLOSING),
    "closed at once": ("> S, < SA, > FA, < FA", CLOSED),
    "server closes before the handshake ends": ("> S, < SA, < FA, > A", CLOSING),
    "close that answers no opening": ("> S, < FA", OPENING),
    "client resets": (f"{HANDSHAKE}, > R", CLOSED),
    "server resets": (f"{HANDSHAKE}, < RA", CLOSED),
    "refused": ("> S, < RA", CLOSED),
    "reset that answers no opening": ("> S, < R", OPENING),
    "client gives up": ("> S, > R", CLOSED),
    "opening within the session": (f"{HANDSHAKE}, > S", STEADY),
    "and the challenge to it": (f"{HANDSHAKE}, > S, < A, > A", STEADY),
    "opening within a half-closed session": (f"{HANDSHAKE}, > FA, > S", CLOSING),
    "answer within the session": (f"{HANDSHAKE}, < SA, > SA", STEADY),
    "the reset one is silent, the other isn't": (f"{HANDSHAKE}, < R, > A", CLOSED),
    "the reset was forged: its sender goes on": (f"{HANDSHAKE}, < R, < A", STEADY),
    "the client's was forged": (f"{HANDSHAKE}, > R, > PA", STEADY),
    "forged while half-closed": (f"{HANDSHAKE}, > FA, < R, < PA", CLOSING),
    "forged refusal": ("> S, < RA, < SA, > A", STEADY),
    "forged giving up": ("> S, > R, > A", OPENING),
    "reset after both closed": (f"{HANDSHAKE}, > FA, < FA, > R, > A", CLOSED),
}


@pytest.mark.parametrize("name", WAYS)
def test_state_after_packets(lab: Laboratory, name: str) -> None:
    steps, expected = WAYS[name]
    assert play(lab, steps)[-1] is expected


def test_established_session_leaves_the_opening_map(lab: Laboratory) -> None:
    play(lab, "> S, < SA")
    assert (len(lab.plane.map("session4").entries()), len(opening(lab.plane))) == (0, 1)
    play(lab, "> A")
    assert (len(lab.plane.map("session4").entries()), len(opening(lab.plane))) == (1, 0)


def test_spoofed_client_alone_never_gets_out_of_the_opening_map(lab: Laboratory) -> None:
    play(lab, "> S, > A, > PA, > R, > A, > A")
    assert lab.plane.map("session4").entries() == {}
    assert lab.session().state is OPENING


IDLE = {
    "> S": Idle.TCP_OPENING,
    "> S, < SA": Idle.TCP_OPENING,
    HANDSHAKE: Idle.TCP_STEADY,
    f"{HANDSHAKE}, > FA": Idle.TCP_CLOSING,
    f"{HANDSHAKE}, > FA, < FA": Idle.TCP_CLOSED,
    f"{HANDSHAKE}, < R": Idle.TCP_CLOSED,
    f"{HANDSHAKE}, < R, < A": Idle.TCP_STEADY,
}


@pytest.mark.parametrize("steps", IDLE)
def test_idle_timeout_is_the_state_s(lab: Laboratory, steps: str) -> None:
    play(lab, steps)
    assert lab.session().idle_limit == DEFAULT_IDLE_S[IDLE[steps]] * lab.plane.read_settings().hz


@pytest.mark.parametrize("end", ["> FA, < FA, > A", "< R", "> R"])
def test_closed_tuple_opens_again_judged_anew(lab: Laboratory, end: str) -> None:
    play(lab, f"{HANDSHAKE}, {end}")
    assert lab.outcome(frame("> S")) is Outcome.PASS_NEW
    session = lab.session()
    assert (session.state, session.packets, session.flags & ~SessionFlag.CLIENT_IS_SECOND) == (
        OPENING,
        (1, 0),
        0,
    )
    assert play(lab, "< SA, > A")[-1] is STEADY


def test_opening_that_is_denied_leaves_the_closed_session(lab: Laboratory) -> None:
    """Its last acknowledgements are still under way."""
    play(lab, f"{HANDSHAKE}, > FA, < FA")
    assert lab.outcome(frame("< S")) is Outcome.DROP_DEFAULT
    assert play(lab, "> A, < FA, > A")[-1] is CLOSED


def test_closed_tuple_opens_in_the_other_direction(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"), allow(APP, WEB, "tcp"))
    play(lab, f"{HANDSHAKE}, > FA, < FA")
    assert lab.outcome(frame("< S")) is Outcome.PASS_NEW
    session = lab.session()
    assert (str(session.client[0]), session.client[1]) == (SERVER, 80)


@pytest.mark.parametrize("steps", ["> S", HANDSHAKE, f"{HANDSHAKE}, > FA"])
def test_session_does_not_let_its_server_open(lab: Laboratory, steps: str) -> None:
    play(lab, steps)
    before = lab.session()
    assert lab.outcome(frame("< S")) is Outcome.DROP_DEFAULT
    assert lab.session() == before


def test_server_that_may_open_as_well_leaves_the_session_alone(lab: Laboratory) -> None:
    lab.enforce(allow(WEB, APP, "tcp/80"), allow(APP, WEB, "tcp"))
    play(lab, HANDSHAKE)
    before = lab.session()
    assert lab.outcome(frame("< S")) is Outcome.PASS_STATELESS
    assert lab.session() == before


def test_simultaneous_open(lab: Laboratory) -> None:
    """RFC 9293, figure 8; both directions have to be allowed."""
    lab.enforce(allow(WEB, APP, "tcp/80"), allow(APP, WEB, "tcp"))
    assert play(lab, "> S, < S, > SA, < SA, > A") == [OPENING, OPENING, OPENING, ANSWERED, STEADY]


def test_opening_within_a_session_of_an_earlier_policy_is_judged(lab: Laboratory) -> None:
    play(lab, HANDSHAKE)
    lab.enforce(deny(WEB, APP))
    assert lab.outcome(frame("> S")) is Outcome.DROP_REVOKED


@pytest.mark.parametrize("first", ["> A", "< A"])
def test_adopted_connection_closes_like_others(lab: Laboratory, first: str) -> None:
    lab.set(adopt_until_s=lab.plane.boot_time_s() + 1000)
    assert lab.outcome(frame(first)) is Outcome.PASS_ADOPTED
    assert play(lab, "< A, > A")[-1] is STEADY
    assert play(lab, "< FA, > FA, < A") == [CLOSING, CLOSED, CLOSED]


def test_adopted_connection_that_only_closes(lab: Laboratory) -> None:
    lab.set(adopt_until_s=lab.plane.boot_time_s() + 1000)
    assert lab.outcome(frame("< FA")) is Outcome.PASS_ADOPTED
    assert play(lab, "> FA")[-1] is CLOSED


def test_reset_without_a_session_is_adopted_as_closed(lab: Laboratory) -> None:
    lab.set(adopt_until_s=lab.plane.boot_time_s() + 1000)
    assert lab.outcome(frame("< R")) is Outcome.PASS_ADOPTED
    assert lab.session().state is CLOSED


@pytest.mark.parametrize(
    ("acknowledged", "state"),
    [(4999, ANSWERED), (5000, ANSWERED), (5001, STEADY), (5001 + 0xFFFF, STEADY), (5001 + 0x10000, ANSWERED)],
)
def test_only_who_got_the_answer_establishes(lab: Laboratory, acknowledged: int, state: State) -> None:
    answer, third = frame("< SA"), frame("> A")
    answer[TCP].seq, third[TCP].ack = 5000, acknowledged
    for packet in (frame("> S"), answer, third):
        assert lab.send(packet).passed
    assert lab.session().state is state


def test_guessed_handshakes_push_out_no_session(lab: Laboratory) -> None:
    play(lab, HANDSHAKE)
    for port in range(50000, 50200):
        answer = tcp(SERVER, CLIENT, 80, port, "SA")
        answer[TCP].seq = port * port
        for packet in (tcp(CLIENT, SERVER, port, 80, "S"), answer, tcp(CLIENT, SERVER, port, 80, "A")):
            assert lab.send(packet).passed
    assert len(lab.plane.map("session4").entries()) == 1
    assert len(opening(lab.plane)) == 200


@pytest.mark.parametrize(
    "flags", ["", "F", "FPU", "SF", "SFA", "SR", "SRA", "RF", "RFA", "FSRPAUEC", "P", "U"]
)
def test_flags_that_make_no_sense_are_dropped(lab: Laboratory, flags: str) -> None:
    play(lab, HANDSHAKE)
    before = lab.session()
    assert lab.outcome(tcp(CLIENT, SERVER, 40000, 80, flags)) is Outcome.DROP_TCP_FLAGS
    assert lab.session() == before


@pytest.mark.parametrize("flags", ["SA", "A", "FA", "R", "RA", "PA"])
def test_nothing_but_an_opening_opens(lab: Laboratory, flags: str) -> None:
    assert lab.outcome(tcp(CLIENT, SERVER, 40000, 80, flags)) is Outcome.DROP_NO_SESSION
    assert lab.sessions() == []
