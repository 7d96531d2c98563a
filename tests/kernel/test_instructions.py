"""What a packet's way takes: instructions and map lookups, counted by running the compiled code step by step.

No clock and no running kernel has a part in it, so the numbers are exact: one more lookup, or an instruction
that crept in, turns this red. Lower numbers are to be written down here too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from kernel.interpreter import Machine, Way
from kernel.laboratory import NOWHERE, allow, deny, tcp, tcp6, udp
from scapy.packet import Packet as Frame

from microseg import abi
from microseg.abi import PolicyMap, Root, SlotConfig
from microseg.abi_cache import LINES4_SIZE, LINES6_SIZE
from microseg.abi_counts import RULE_LINE_SIZE
from microseg.abi_flow import STATS_SIZE
from microseg.abi_opening import OPENING4_SIZE
from microseg.abi_session import State
from microseg.abi_settings import Settings
from microseg.compiler.lower import lower
from microseg.kernel.programs import TC
from microseg.kernel.shapes import OPENINGS, RULE_LINES
from microseg.policy.rules import Action, Default, Policy, Rule, Ruleset, Verdict

pytestmark = pytest.mark.compiles
MEASURED_WITH = 14
"""Version of the compiler the numbers of instructions are those of."""
ZERO, ONE = bytes(4), (1).to_bytes(4, "little")
GENERATION, PASSES, DROPS = 2, 0xFFFFFFFF, 2
ROOM = 4096
MEMORY = 256 * 64
DENIED_PARTS = 16
"""Of what a processor remembers, and the bytes of a part."""
HOT = {"stats": 1, "policy_root": 1}
JUDGED_SHARE, OPENING_SETS = 32_769, 512
CACHE_PLACES = 64
"""At least as many as the maps have that the code is compiled for."""
CLIENT, SERVER = "10.1.1.1", "10.1.2.1"
ESTABLISHED = tcp(CLIENT, SERVER, 40000, 80, "A", b"payload")


class Compiled(NamedTuple):
    """The compiler's version, its code by function, and the names of maps by their descriptors."""

    version: int
    code: dict[str, bytes]
    maps: dict[int, str]


@pytest.fixture(scope="module")
def compiled(bpffs: Path) -> Compiled:
    maps = bpffs / "instructions"
    maps.mkdir()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "kernel.compiled_code", maps, maps / "programs"],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        for pin in sorted(maps.rglob("*"), reverse=True):
            pin.rmdir() if pin.is_dir() else pin.unlink()
        maps.rmdir()
    answer = json.loads(done.stdout)
    code = {name: bytes.fromhex(octets) for name, octets in answer["code"].items()}
    return Compiled(answer["clang"], code, {int(fd): name for fd, name in answer["maps"].items()})


@pytest.fixture
def machine(compiled: Compiled) -> Machine:
    """The programs under a policy whose default denies, without a session."""
    made = Machine(compiled.code, compiled.maps, [TC.functions()[name] for name in TC.jumps])
    config = SlotConfig(GENERATION, Verdict.DENY)
    made.put("stats", ZERO, bytes(STATS_SIZE))
    made.put("policy_root", ZERO, Root(GENERATION).to_bytes())
    made.put("slot_config", ZERO, config.to_bytes())
    made.put("slot_config", ONE, replace(config, generation=1).to_bytes())
    made.put("config", ZERO, Settings().to_bytes())
    for number in range(CACHE_PLACES):
        made.put("flow4", number.to_bytes(4, "little"), bytes(LINES4_SIZE))
        made.put("flow6", number.to_bytes(4, "little"), bytes(LINES6_SIZE))
    for index in (ZERO, ONE):
        made.put("scratch", index, bytes(ROOM))
        made.put("budgets", index, bytes(16))
    for part in range(DENIED_PARTS):
        made.put("denied", part.to_bytes(4, "little"), bytes(MEMORY))
    for place in range(JUDGED_SHARE):
        made.put("judged4", place.to_bytes(4, "little"), bytes(64))
    for place in range(OPENING_SETS):
        made.put("opening4", place.to_bytes(4, "little"), bytes(OPENING4_SIZE))
    for place in range(RULE_LINES):
        made.put("rule_lines", place.to_bytes(4, "little"), bytes(RULE_LINE_SIZE))
    for place in range(OPENINGS):
        made.put("openings", place.to_bytes(4, "little"), bytes(4))
    return made


def session(generation: int = GENERATION) -> bytes:
    """Return a steady session."""
    words = (0, 0, 0, 0, 999_999, generation, 0, 1000, 0, 1)
    return (
        b"".join(word.to_bytes(8, "little") for word in words[:5])
        + b"".join(word.to_bytes(4, "little") for word in words[5:])
        + bytes((Verdict.ALLOW, 0, State.STEADY, 0))
    )


def key_of(frame: Frame) -> tuple[str, bytes]:
    """Return the map and key of the session of a packet from the lower address."""
    raw = bytes(frame)
    if raw[12:14] == b"\x08\x00":
        return "session4", raw[26:34] + raw[34:38] + raw[23:24] + bytes(3)
    return "session6", raw[22:54] + raw[54:58] + raw[20:21] + bytes(3)


def check(
    compiled: Compiled,
    way: Way,
    lookups: dict[str, int],
    instructions: int,
) -> None:
    assert dict(way.lookups) == lookups
    if compiled.version == MEASURED_WITH:
        assert way.instructions == instructions


@pytest.mark.parametrize(
    ("frame", "asked", "answered"),
    [
        pytest.param(ESTABLISHED, 451, 304, id="TCP"),
        pytest.param(udp(CLIENT, SERVER, 40000, 53, b"payload of it"), 455, 308, id="UDP"),
        pytest.param(
            tcp6("2001:db8::1", "2001:db8::2", 40000, 80, "A", b"payload"), 511, 369, id="TCP over IPv6"
        ),
    ],
)
def test_established(compiled: Compiled, machine: Machine, frame: Frame, asked: int, answered: int) -> None:
    """The first packet asks the session and takes a line of the flow cache, which answers for the second."""
    name, key = key_of(frame)
    cache = name.replace("session", "flow")
    machine.put(name, key, session())
    first = machine.run("ms_ingress", bytes(frame))
    second = machine.run("ms_ingress", bytes(frame))
    assert (first.result, second.result) == (PASSES, PASSES)
    check(compiled, second, HOT | {"budgets": 1, cache: 1}, answered)
    check(compiled, first, HOT | {"budgets": 1, cache: 5, name: 1, "config": 1}, asked)


def test_no_policy(compiled: Compiled, machine: Machine) -> None:
    machine.put("policy_root", ZERO, Root().to_bytes())
    way = machine.run("ms_ingress", bytes(ESTABLISHED))
    assert way.result == PASSES
    check(compiled, way, HOT, 43)


NEW = udp(CLIENT, SERVER, 40000, 99, b"payload of it")
JUDGED = {
    "stats": 2,
    "policy_root": 1,
    "budgets": 1,
    "openings": 1,
    "session4": 2,
    "opening4": 4,
    "scratch": 2,
    "config": 1,
    "slot_config": 1,
    "flow4": 2,
    "judged4": 3,
    "ipcache4_a": 2,
    "service_a": 1,
}
"""Looked up for a packet without a session that lies in none of the policy's sets."""


BY_A_RULE = {"ipcache4_a": 2, "service_a": 1, "policy_a": 2, "rule_lines": 1}


def put_policy(machine: Machine, *rules: Rule) -> None:
    """Fill the slot with rules between single addresses and ports: what is looked up is there or it isn't."""
    policy = Policy("all", NOWHERE, rules)
    contents = abi.encode(lower(Ruleset((policy,), Default(Action.DENY))))
    for name in PolicyMap:
        for key, value in contents.maps[name].items():
            machine.put(name.in_slot(0), key, value)


def test_denied(compiled: Compiled, machine: Machine) -> None:
    way = machine.run("ms_ingress", bytes(NEW))
    assert way.result == DROPS
    check(compiled, way, JUDGED | {"config": 3, "budgets": 2, "denied": 1}, 1283)
    assert not way.written


def test_denied_again(compiled: Compiled, machine: Machine) -> None:
    machine.put("config", ZERO, Settings(events_per_s=0).to_bytes())
    for _ in range(2):
        way = machine.run("ms_ingress", bytes(NEW))
        assert way.result == DROPS
    remembered = {"budgets": 1, "denied": 1, "config": 1, "openings": 1}
    check(compiled, way, HOT | remembered, 330)
    assert not way.written


def test_denied_again_by_a_rule(compiled: Compiled, machine: Machine) -> None:
    machine.put("config", ZERO, Settings(events_per_s=0).to_bytes())
    put_policy(machine, deny(CLIENT, SERVER, "udp/99"))
    for _ in range(2):
        way = machine.run("ms_ingress", bytes(NEW))
        assert way.result == DROPS
    remembered = {"budgets": 1, "denied": 1, "config": 1, "openings": 1, "rule_lines": 1}
    check(compiled, way, HOT | remembered, 375)
    assert not way.written


def test_first_of_a_flow(compiled: Compiled, machine: Machine) -> None:
    put_policy(machine, allow(CLIENT, SERVER, "udp/99"))
    way = machine.run("ms_ingress", bytes(NEW))
    assert way.result == PASSES
    opened = {"session4": 1, "config": 2, "openings": 2, "opening4": 6}
    check(compiled, way, JUDGED | BY_A_RULE | opened, 1583)
    assert not way.written


def test_first_of_a_flow_like_one_before(compiled: Compiled, machine: Machine) -> None:
    """The same client asks again, from another port: nothing is matched, nothing probed."""
    put_policy(machine, allow(CLIENT, SERVER, "udp/99"))
    machine.run("ms_ingress", bytes(udp(CLIENT, SERVER, 40001, 99, b"payload of it")))
    way = machine.run("ms_ingress", bytes(NEW))
    assert way.result == PASSES
    searched = {"slot_config", "ipcache4_a", "service_a"}
    known = {name: times for name, times in JUDGED.items() if name not in searched}
    opened = {"session4": 1, "config": 2, "openings": 2, "opening4": 6, "judged4": 2, "rule_lines": 1}
    check(compiled, way, known | opened, 1300)
