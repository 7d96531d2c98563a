"""What was denied is remembered while no more events may be sent: dropped without a search, never wrongly.

No events are allowed here, so that each CPU remembers from the first denied packet on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kernel.cache_lines import cpus, on
from kernel.laboratory import Laboratory, allow, deny, link, tcp, tcp6, udp
from kernel.planted_faults import Fault, each, is_found, planted
from long_runs import is_long
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet as Frame

from microseg.abi import Root
from microseg.abi_flow import Direction
from microseg.abi_outcome import Outcome
from microseg.abi_settings import DEFAULT_UNASKED, Unasked

CLIENT, SERVER = "10.1.1.1", "10.1.2.1"
SPREAD = 7919
MANY = range(1, 301)
"""So many of one kind and of another meet in some of 4,096 lines."""
CLIENT6, SERVER6 = "2001:db8:1::1", "2001:db8:2::1"


def udp6(src: str, dst: str, sport: int, dport: int) -> Frame:
    return link() / IPv6(src=src, dst=dst) / UDP(sport=sport, dport=dport) / b"x"


@pytest.fixture(autouse=True)
def one_processor() -> Iterator[None]:
    """Stay on one processor, as each has a memory of its own."""
    with on(min(cpus())):
        yield


def deny_twice(lab: Laboratory, frame: Frame, direction: Direction = Direction.INGRESS) -> None:
    """Have a packet denied by the search, and then from memory."""
    for _ in range(2):
        assert lab.outcome(frame, direction) is Outcome.DROP_DEFAULT


def is_judged_anew_under_another_policy(lab: Laboratory) -> None:
    lab.enforce()
    deny_twice(lab, udp(CLIENT, SERVER, 40000, 53))
    first = lab.plane.read_root().generation
    lab.enforce(allow(CLIENT, SERVER, "udp/53"))
    assert lab.outcome(udp(CLIENT, SERVER, 40000, 53)) is Outcome.PASS_NEW
    lab.plane.write_root(Root(first))
    assert lab.outcome(udp(CLIENT, SERVER, 40000, 53)) is Outcome.DROP_REVOKED


def none_answers_for_another(lab: Laboratory, denied: list[Frame], allowed: list[Frame]) -> None:
    """Send denied packets, and allowed ones that meet them in their lines before a second is over."""
    frames = [[bytes(frame).ljust(60, b"\0") for frame in frames] for frames in (denied, allowed)]
    assert not any(lab.flows.run(frame).passed for frame in frames[0])
    assert all(lab.flows.run(frame).passed for frame in frames[1])


def is_of_its_own_key(lab: Laboratory) -> None:
    lab.enforce(allow(CLIENT, SERVER, "udp/1/20000"))
    denied, allowed = ([udp(CLIENT, SERVER, 40000, n + port) for n in MANY] for port in (20000, 0))
    none_answers_for_another(lab, denied, allowed)


def is_of_its_own_address(lab: Laboratory) -> None:
    """IPv6 addresses that differ in their last words only."""
    lab.enforce(allow(CLIENT6, "2001:db8:2::1:0/112", "udp/53"))
    server = "2001:db8:2::{}:{:x}".format
    denied, allowed = (
        [udp6(CLIENT6, server(part, n * SPREAD & 0xFFFF), 40000, 53) for n in MANY] for part in (2, 1)
    )
    none_answers_for_another(lab, denied, allowed)


def is_of_its_own_way_round(lab: Laboratory) -> None:
    lab.enforce(allow(CLIENT, SERVER, "udp/53"))
    deny_twice(lab, udp(SERVER, CLIENT, 53, 53))
    assert lab.outcome(udp(CLIENT, SERVER, 53, 53)) is Outcome.PASS_NEW


def does_not_stop_the_answers_of_a_later_session(lab: Laboratory) -> None:
    lab.enforce(allow(CLIENT, SERVER, "udp/53"))
    answer = udp(SERVER, CLIENT, 53, 40000)
    deny_twice(lab, answer)
    assert lab.outcome(udp(CLIENT, SERVER, 40000, 53)) is Outcome.PASS_NEW
    assert lab.outcome(answer) is Outcome.PASS_SESSION


def is_told_from_a_packet_with_another_signal(lab: Laboratory) -> None:
    lab.enforce()
    deny_twice(lab, tcp(CLIENT, SERVER, 40000, 80, "S"))
    assert lab.outcome(tcp(CLIENT, SERVER, 40000, 80, "A")) is Outcome.DROP_NO_SESSION


def is_told_from_what_passes_unasked(lab: Laboratory) -> None:
    """A DHCP client's question is one on its way out only, and only where that is set."""
    lab.enforce()
    question = udp(CLIENT, SERVER, 68, 67)
    deny_twice(lab, question, Direction.INGRESS)
    assert lab.outcome(question, Direction.EGRESS) is Outcome.PASS_DHCP_CLIENT
    lab.set(unasked=Unasked(0))
    deny_twice(lab, question, Direction.EGRESS)
    lab.set(unasked=DEFAULT_UNASKED)
    assert lab.outcome(question, Direction.EGRESS) is Outcome.PASS_DHCP_CLIENT


SCENES: tuple[Callable[[Laboratory], None], ...] = (
    is_judged_anew_under_another_policy,
    is_of_its_own_key,
    is_of_its_own_address,
    is_of_its_own_way_round,
    does_not_stop_the_answers_of_a_later_session,
    is_told_from_a_packet_with_another_signal,
    is_told_from_what_passes_unasked,
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_what_was_denied(lab: Laboratory, scene: Callable[[Laboratory], None]) -> None:
    lab.set(events_per_s=0)
    scene(lab)


def test_each_denied_packet_counts(lab: Laboratory) -> None:
    """For its outcome and its rule, with its length, whether the search or the memory dropped it."""
    denied = deny(CLIENT, SERVER, "tcp/22")
    lab.enforce(denied)
    lab.set(events_per_s=0)
    before = lab.stats()
    lab.flows.run(bytes(tcp(CLIENT, SERVER, 40000, 22)).ljust(60, b"\0"), repeat=1000)
    lab.flows.run(bytes(tcp6(CLIENT6, SERVER6, 40000, 22)).ljust(80, b"\0"), repeat=500)
    after = lab.stats()
    count, default = (lab.plane.rule_counts()[rule] for rule in (lab.id_of(denied), 0))
    assert (count.packets, count.bytes) == (1000, 60_000)
    assert (default.packets, default.bytes) == (500, 40_000)
    assert after.outcomes[Outcome.DROP_DENIED] - before.outcomes[Outcome.DROP_DENIED] == 1000
    assert after.outcomes[Outcome.DROP_DEFAULT] - before.outcomes[Outcome.DROP_DEFAULT] == 500
    assert after.events_limited - before.events_limited == 1500
    assert after.events_sent == before.events_sent


IN_EVERY_RUN = (
    Fault(
        "stale generation",
        "denied.h",
        "if (line->generation != generation || !ms_is_key_of(line, packet) ||",
        "if (!ms_is_key_of(line, packet) ||",
    ),
)
IN_LONG_RUNS = (
    Fault(
        "half of a key",
        "denied.h",
        "line->key[0] != word[0] || line->key[1] != word[1]",
        "line->key[0] != word[0]",
    ),
    Fault("half of an IPv6 key", "denied.h", "line->key[3] == word[3] && ", ""),
    Fault("wrong way round", "denied.h", " | packet->reversed << 8", ""),
    Fault("forgotten signal", "denied.h", "return packet->signal | ", "return "),
    Fault("forgotten direction", "denied.h", " | direction << 9", ""),
    Fault("forgotten settings", "denied.h", "(__u64)settings->unasked << 32", "0"),
    Fault("an opened session isn't told", "judge.h", "\tms_openings_tell(&scratch->packet);\n", ""),
    Fault("openings aren't looked at", "denied.h", "*(volatile __u32 *)count != line->openings", "0"),
)


@each(*IN_EVERY_RUN, *(IN_LONG_RUNS if is_long() else ()))
@pytest.mark.compiles
def test_a_planted_fault_is_found(fault: Fault, bpffs: Path, tmp_path: Path) -> None:
    with planted(fault, bpffs / "forgetful", tmp_path) as lab:
        assert is_found(lab, SCENES, events_per_s=0)
