"""Which sets contain an address is remembered for a moment; never for another address, family or policy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from itertools import count
from pathlib import Path

import pytest
from kernel.laboratory import Laboratory, allow, link, udp
from kernel.planted_faults import Fault, each, is_found, planted
from long_runs import is_long
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet as Frame

from microseg.abi import Root
from microseg.abi_outcome import Outcome

CLIENT, SERVER, SERVER6 = "10.1.1.1", "10.9.9.9", "2001:db8:9::9"
MANY = range(1, 301)
"""More than there are lines."""
SPREAD = 0x85EBCA6B
MOST_SETS = 16
PORTS = count(1024)


@pytest.fixture(autouse=True)
def one_processor() -> Iterator[None]:
    """Stay on one processor, as each has a memory of its own."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def ask(src: str, dst: str) -> Frame:
    """Return the first packet of a flow that never was before."""
    ports = UDP(sport=next(PORTS), dport=53)
    if ":" in src:
        return link() / IPv6(src=src, dst=dst) / ports / b"x"
    return udp(src, dst, ports.sport, ports.dport)


def passed(lab: Laboratory, sources: list[str], dst: str) -> list[bool]:
    """Say of each whether it passes, before a moment is over."""
    frames = [bytes(ask(src, dst)).ljust(60, b"\0") for src in sources]
    return [lab.flows.run(frame).passed for frame in frames]


def is_matched_anew_under_another_policy(lab: Laboratory) -> None:
    lab.enforce()
    assert lab.outcome(ask(CLIENT, SERVER)) is Outcome.DROP_DEFAULT
    first = lab.plane.read_root().generation
    lab.enforce(allow(CLIENT, SERVER))
    assert lab.outcome(ask(CLIENT, SERVER)) is Outcome.PASS_NEW
    lab.plane.write_root(Root(first))
    assert lab.outcome(ask(CLIENT, SERVER)) is Outcome.DROP_DEFAULT


def is_no_other_address(lab: Laboratory) -> None:
    lab.enforce(allow("10.1.0.0/16", SERVER))
    known, strange = ([f"10.{second}.{n >> 8}.{n & 255}" for n in MANY] for second in (1, 2))
    assert all(passed(lab, known, SERVER))
    assert not any(passed(lab, strange, SERVER))
    assert all(passed(lab, known, SERVER))


def is_no_other_address_of_ipv6(lab: Laboratory) -> None:
    """Whichever word of it differs."""
    known = ip_address("2001:db8::")
    lab.enforce(allow(str(known), SERVER6))
    for word in range(4):
        strange = [str(ip_address(int(known) ^ (n * SPREAD & 0xFFFFFFFF) << 32 * word)) for n in MANY]
        answers = passed(lab, [str(known), *strange], SERVER6)
        assert answers == [True] + [False] * len(strange)


def is_of_one_family(lab: Laboratory) -> None:
    lab.enforce(allow(CLIENT, SERVER))
    assert lab.outcome(ask(CLIENT, SERVER)) is Outcome.PASS_NEW
    assert lab.outcome(ask("a01:101::", "a09:909::")) is Outcome.DROP_DEFAULT


def is_in_as_many_sets_as_can_be(lab: Laboratory) -> None:
    """Whichever of them allows; between two questions another address is asked about."""
    widths = range(24, 24 - MOST_SETS, -1)
    around = [str(ip_network(f"{CLIENT}/{bits}", strict=False)) for bits in widths]
    for wanted in around:
        rules = [allow(block, SERVER, "udp/53" if block == wanted else "tcp/1") for block in around]
        lab.enforce(*rules)
        first, _, again = (lab.outcome(ask(src, SERVER)) for src in (CLIENT, "10.2.2.2", CLIENT))
        assert first is again is Outcome.PASS_NEW


SCENES: tuple[Callable[[Laboratory], None], ...] = (
    is_matched_anew_under_another_policy,
    is_no_other_address,
    is_no_other_address_of_ipv6,
    is_of_one_family,
    is_in_as_many_sets_as_can_be,
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_an_address(lab: Laboratory, scene: Callable[[Laboratory], None]) -> None:
    scene(lab)


IN_EVERY_RUN = (Fault("stale generation", "address.h", "line->generation != scratch->generation || ", ""),)
IN_LONG_RUNS = (
    Fault("any family", "address.h", " || line->family != scratch->packet.family", ""),
    Fault("longer lists are cut", "address.h", "if (!line || count > MS_ADDRESS_SETS)", "if (!line)"),
    *(
        Fault(f"word {n} is not seen", "address.h", f"line->address.word[{n}] != address->word[{n}]", "0")
        for n in range(4)
    ),
)


@each(*IN_EVERY_RUN, *(IN_LONG_RUNS if is_long() else ()))
@pytest.mark.compiles
def test_a_planted_fault_is_found(fault: Fault, bpffs: Path, tmp_path: Path) -> None:
    with planted(fault, bpffs / "mistaken", tmp_path) as lab:
        assert is_found(lab, SCENES)
