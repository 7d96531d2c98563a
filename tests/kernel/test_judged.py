"""What was judged is remembered for a moment; never for another address, port, protocol, family or policy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from itertools import count
from pathlib import Path

import pytest
from kernel.cache_lines import cpus, on
from kernel.laboratory import Laboratory, allow, deny, link, reject, tcp, udp
from kernel.planted_faults import Fault, each, is_found, planted
from long_runs import is_long
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet as Frame

from microseg.abi import PolicyMap, Root
from microseg.abi_outcome import Outcome

CLIENT, SERVER = "10.1.1.1", "10.9.9.9"
CLIENT6, SERVER6 = "2001:db8:1::1", "2001:db8:9::9"
PORTS = count(1024)


@pytest.fixture(autouse=True)
def one_processor() -> Iterator[None]:
    """Stay on one processor, as each has a memory of its own."""
    with on(min(cpus())):
        yield


def ask(src: str, dst: str) -> Frame:
    """Return the first packet of a flow that never was before."""
    ports = UDP(sport=next(PORTS), dport=53)
    if ":" in src:
        return link() / IPv6(src=src, dst=dst) / ports / b"x"
    return udp(src, dst, ports.sport, ports.dport)


def is_judged_anew_under_another_policy(lab: Laboratory) -> None:
    lab.enforce()
    assert lab.outcome(ask(CLIENT, SERVER)) is Outcome.DROP_DEFAULT
    first = lab.plane.read_root().generation
    lab.enforce(allow(CLIENT, SERVER))
    for _ in range(2):
        assert lab.outcome(ask(CLIENT, SERVER)) is Outcome.PASS_NEW
    lab.plane.write_root(Root(first))
    assert lab.outcome(ask(CLIENT, SERVER)) is Outcome.DROP_DEFAULT


def is_no_other_address(lab: Laboratory) -> None:
    """Nor from, nor to."""
    lab.enforce(allow(CLIENT, SERVER))
    assert lab.outcome(ask(CLIENT, SERVER)) is Outcome.PASS_NEW
    assert lab.outcome(ask("10.1.1.2", SERVER)) is Outcome.DROP_DEFAULT
    assert lab.outcome(ask(CLIENT, SERVER)) is Outcome.PASS_NEW
    assert lab.outcome(ask(CLIENT, "10.9.9.8")) is Outcome.DROP_DEFAULT


def is_no_other_address_of_ipv6(lab: Laboratory) -> None:
    """Whichever 64 bits of them differ, whichever is the greater one."""
    for src, dst in ((CLIENT6, SERVER6), (SERVER6, CLIENT6)):
        lab.enforce(allow(src, dst))
        for shift in (0, 56, 64, 120):  # some change which address is the lower one
            assert lab.outcome(ask(src, dst)) is Outcome.PASS_NEW
            strange = str(ip_address(int(ip_address(src)) ^ 1 << shift))
            assert lab.outcome(ask(strange, dst)) is Outcome.DROP_DEFAULT
            assert lab.outcome(ask(src, dst)) is Outcome.PASS_NEW
            strange = str(ip_address(int(ip_address(dst)) ^ 1 << shift))
            assert lab.outcome(ask(src, strange)) is Outcome.DROP_DEFAULT


def is_one_of_some_in_a_line(lab: Laboratory) -> None:
    """Each has its own verdict, whichever of them are remembered."""
    clients = [f"10.1.1.{number}" for number in range(1, 6)]
    lab.enforce(*(allow(client, SERVER) for client in clients[::2]))
    for number in (0, 1, 2, 1, 0, 3, 4, 1, 2, 3, 0):
        wanted = Outcome.DROP_DEFAULT if number % 2 else Outcome.PASS_NEW
        assert lab.outcome(ask(clients[number], SERVER)) is wanted


def is_of_one_family(lab: Laboratory) -> None:
    lab.enforce(allow(CLIENT, SERVER))
    assert lab.outcome(ask(CLIENT, SERVER)) is Outcome.PASS_NEW
    assert lab.outcome(ask("a01:101::", "a09:909::")) is Outcome.DROP_DEFAULT


def is_of_one_destination_port(lab: Laboratory) -> None:
    lab.enforce(allow(CLIENT, SERVER, "udp/53"))
    assert lab.outcome(udp(CLIENT, SERVER, next(PORTS), 53)) is Outcome.PASS_NEW
    assert lab.outcome(udp(CLIENT, SERVER, next(PORTS), 54)) is Outcome.DROP_DEFAULT


def is_of_one_protocol(lab: Laboratory) -> None:
    lab.enforce(allow(CLIENT, SERVER, "udp/53"))
    assert lab.outcome(udp(CLIENT, SERVER, 4000, 53)) is Outcome.PASS_NEW
    assert lab.outcome(tcp(CLIENT, SERVER, 4000, 53)) is Outcome.DROP_DEFAULT


def is_of_one_direction(lab: Laboratory) -> None:
    """Which address is the greater one decides where they are in the key: each asks first."""
    for src, dst in ((CLIENT, SERVER), (SERVER, CLIENT), (CLIENT6, SERVER6), (SERVER6, CLIENT6)):
        lab.enforce(allow(src, dst))
        assert lab.outcome(ask(src, dst)) is Outcome.PASS_NEW
        assert lab.outcome(ask(dst, src)) is Outcome.DROP_DEFAULT


def is_of_one_source_port_where_a_rule_asks_for_it(lab: Laboratory) -> None:
    for what in ("udp/53 from 123", "udp from 123"):
        lab.enforce(allow(CLIENT, SERVER, what))
        assert lab.outcome(udp(CLIENT, SERVER, 124, 53)) is Outcome.DROP_DEFAULT
        assert lab.send(udp(CLIENT, SERVER, 123, 53)).passed
        assert lab.outcome(udp(CLIENT, SERVER, 125, 53)) is Outcome.DROP_DEFAULT


def is_judged_anew_after_a_second(lab: Laboratory) -> None:
    """Seen by an entry that is changed behind the program's back."""
    lab.enforce(allow(CLIENT, SERVER))
    assert lab.outcome(ask(CLIENT, SERVER)) is Outcome.PASS_NEW
    slot = lab.plane.read_root().generation & 1
    entries = lab.plane.map(PolicyMap.POLICY.in_slot(slot))
    entries.delete_many(list(entries.entries()))
    time.sleep(1.1)
    assert lab.outcome(ask(CLIENT, SERVER)) is Outcome.DROP_DEFAULT


def has_verdict_rule_and_whether_to_report(lab: Laboratory) -> None:
    rules = (
        allow(CLIENT, SERVER, "udp/53", log=True),
        reject(CLIENT, SERVER, "udp/54"),
        deny(CLIENT, SERVER),
    )
    lab.enforce(*rules)
    wanted = (
        (53, Outcome.PASS_NEW, rules[0]),
        (54, Outcome.DROP_REJECTED, rules[1]),
        (55, Outcome.DROP_DENIED, rules[2]),
    )
    for port, outcome, rule in wanted:
        for _ in range(3):
            assert lab.outcome(udp(CLIENT, SERVER, next(PORTS), port)) is outcome
            seen = [(event.rule, event.outcome) for event in lab.events()]
            assert seen == [(lab.id_of(rule), outcome)]


SCENES: tuple[Callable[[Laboratory], None], ...] = (
    is_judged_anew_under_another_policy,
    is_no_other_address,
    is_no_other_address_of_ipv6,
    is_one_of_some_in_a_line,
    is_of_one_family,
    is_of_one_destination_port,
    is_of_one_protocol,
    is_of_one_direction,
    is_of_one_source_port_where_a_rule_asks_for_it,
    is_judged_anew_after_a_second,
    has_verdict_rule_and_whether_to_report,
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_what_was_judged(lab: Laboratory, scene: Callable[[Laboratory], None]) -> None:
    scene(lab)


ONE_PLACE = (
    Fault("one place for all of IPv4", "judged.h", "MS_JUDGED_LINES4 32768", "MS_JUDGED_LINES4 0"),
    Fault("one place for all of IPv6", "judged.h", "MS_JUDGED_LINES6 8192", "MS_JUDGED_LINES6 0"),
)
"""So that all meet whom they could be taken for."""


@pytest.mark.compiles
def test_where_all_meet(bpffs: Path, tmp_path: Path) -> None:
    with planted(ONE_PLACE[0], bpffs / "narrow", tmp_path, ONE_PLACE[1]) as lab:
        for scene in SCENES:
            lab.clear()
            scene(lab)


IN_EVERY_RUN = (
    Fault("stale generation", "judged.h", "generation == scratch->generation && ", ""),
    Fault("any source port", "judged.h", "((source_port ^ question->source_port) & narrow)", "0"),
)
_FORWARD = "word[0] != key[0] || word[1] != key[1] || word[2] != key[2] || word[3] != key[3]"
_BACK = "word[0] != key[2] || word[1] != key[3] || word[2] != key[0] || word[3] != key[1]"
IN_LONG_RUNS = (
    Fault("any destination port", "judged.h", "(destination_port ^ question->destination_port) | ", ""),
    Fault("any protocol", "judged.h", "(protocol ^ scratch->packet.protocol) |", ""),
    Fault("for ever", "judged.h", "(__s32)(until - (__u32)scratch->now) > 0", "1"),
    Fault("any client", "judged.h", "(line->address[way][0] ^ from) | ", ""),
    Fault("any server", "judged.h", "(line->address[way][1] ^ to) |", ""),
    Fault("what was said before stays", "judged.h", "line->said[each] = 0;", ";"),
    Fault(
        "service lists aren't looked through",
        "policy.h",
        "s->narrow |= element->low != 0 || element->high != 0xffff",
        "s->narrow |= 0",
    ),
    Fault(
        "source axis is forgotten",
        "policy.h",
        "s->narrow = slot_flags & MS_SLOT_HAS_SOURCE_PORTS",
        "s->narrow = 0",
    ),
    Fault("no flags", "judged.h", "(s->flags << MS_SAID_FLAGS_SHIFT & MS_SAID_FLAGS) |", ""),
    Fault("no rule", "judged.h", "line->rule[way] = scratch->search.rule", "line->rule[way] = 0"),
    *(
        Fault(f"{way} word {n} is not seen", "judged.h", text, text.replace(f"word[{n}] !=", "0 &&"))
        for way, text in (("forward", _FORWARD), ("back", _BACK))
        for n in range(4)
    ),
)


@each(*IN_EVERY_RUN, *(IN_LONG_RUNS if is_long() else ()))
@pytest.mark.compiles
def test_a_planted_fault_is_found(fault: Fault, bpffs: Path, tmp_path: Path) -> None:
    with planted(fault, bpffs / "mistaken", tmp_path, *ONE_PLACE) as lab:
        assert is_found(lab, SCENES)
