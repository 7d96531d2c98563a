"""What rules have judged is counted exactly: of those that share a line or find it full, on each CPU."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Barrier

import pytest
from kernel.cache_lines import cpus, on
from kernel.laboratory import Laboratory, allow, deny, udp
from kernel.planted_faults import Fault, each, is_found, planted
from long_runs import is_long

from microseg.abi_counts import RULE_COUNT_SIZE, RULE_WAYS
from microseg.kernel.bpf import possible_cpus
from microseg.kernel.packet_run import Runner
from microseg.policy.rules import Rule
from microseg.reconcile.dataplane import RuleCount

CLIENT, SERVER = "10.1.1.1", "10.9.9.9"
OCTETS = 60
MANY = 200_000
PORTS = count(1024)
MORE_THAN_A_LINE = 2 * RULE_WAYS + 1


def port_rules(first: int, number: int = MORE_THAN_A_LINE) -> list[Rule]:
    """Return rules for one port each, every other one denies."""
    return [
        (deny if port % 2 else allow)(CLIENT, SERVER, f"udp/{port}") for port in range(first, first + number)
    ]


def ask(lab: Laboratory, port: int, times: int) -> None:
    """Send the first packets of so many flows."""
    for _ in range(times):
        lab.send(udp(CLIENT, SERVER, next(PORTS), port))


def counted(lab: Laboratory, rules: Sequence[Rule]) -> list[RuleCount]:
    counts = lab.plane.rule_counts()
    return [counts.get(lab.id_of(rule), RuleCount(0, 0)) for rule in rules]


def packets(*numbers: int) -> list[RuleCount]:
    return [RuleCount(number, number * OCTETS) for number in numbers]


def each_rule_has_its_own(lab: Laboratory) -> None:
    rules = port_rules(100)
    lab.enforce(*rules)
    with on(min(cpus())):
        for again in (1, 2):
            for number in range(MORE_THAN_A_LINE):
                ask(lab, 100 + number, number + again)
    assert counted(lab, rules) == packets(*(2 * number + 3 for number in range(MORE_THAN_A_LINE)))


def processors_count_together(lab: Laboratory) -> None:
    rules = port_rules(200)
    lab.enforce(*rules)
    for cpu in cpus():
        with on(cpu):
            for number in range(MORE_THAN_A_LINE):
                ask(lab, 200 + number, 2)
    assert counted(lab, rules) == packets(*[2 * len(cpus())] * MORE_THAN_A_LINE)


def processors_count_at_once(lab: Laboratory) -> None:
    """Nothing is lost: each counts for the same rule as fast as it can."""
    rule = deny(CLIENT, SERVER, "udp/250")
    lab.enforce(rule)
    frame = bytes(udp(CLIENT, SERVER, 1, 250)).ljust(OCTETS, b"\0")
    together = Barrier(len(cpus()))

    def send(cpu: int) -> None:
        with on(cpu), lab.plane.program("ingress") as program:
            runner = Runner(program.fd)
            together.wait()
            runner.run(frame, repeat=MANY)

    with ThreadPoolExecutor(len(cpus())) as threads:
        list(threads.map(send, cpus()))
    assert counted(lab, [rule]) == packets(MANY * len(cpus()))


def forgotten_ones_make_room(lab: Laboratory) -> None:
    rules = port_rules(300)
    lab.enforce(*rules)
    with on(min(cpus())):
        for number in range(MORE_THAN_A_LINE):
            ask(lab, 300 + number, 3)
        lab.plane.forget_rules([lab.id_of(rule) for rule in rules[:4]])
        assert counted(lab, rules) == packets(*[0] * 4, *[3] * (MORE_THAN_A_LINE - 4))
        for number in range(MORE_THAN_A_LINE):
            ask(lab, 300 + number, 2)
    assert counted(lab, rules) == packets(*[2] * 4, *[5] * (MORE_THAN_A_LINE - 4))


def the_default_is_counted(lab: Laboratory) -> None:
    lab.enforce(*port_rules(400))
    ask(lab, 1, 3)
    assert [lab.plane.rule_counts().get(0)] == packets(3)


def what_finds_no_room_is_told(lab: Laboratory) -> None:
    """Rules of a full line are not counted when there is no room elsewhere either, and that is."""
    elsewhere = lab.plane.map("rule_counters")
    others = range(1, elsewhere.info.max_entries + 1)
    value = bytes(RULE_COUNT_SIZE * possible_cpus())
    elsewhere.update_many({number.to_bytes(4, sys.byteorder): value for number in others})
    rules = port_rules(500)
    lab.enforce(*rules)
    before = lab.stats().rules_full
    with on(min(cpus())):
        for number in range(MORE_THAN_A_LINE):
            ask(lab, 500 + number, 2)
    missing = MORE_THAN_A_LINE - RULE_WAYS
    assert counted(lab, rules) == packets(*[2] * RULE_WAYS, *[0] * missing)
    assert lab.stats().rules_full - before == 2 * missing


SCENES: tuple[Callable[[Laboratory], None], ...] = (
    each_rule_has_its_own,
    processors_count_together,
    processors_count_at_once,
    forgotten_ones_make_room,
    the_default_is_counted,
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_counts(lab: Laboratory, scene: Callable[[Laboratory], None]) -> None:
    scene(lab)


ONE_LINE = Fault("one line for all", "stats.h", "(MS_ENTRIES_RULE_LINES / MS_CPUS)", "1")


@pytest.mark.compiles
def test_where_all_meet(bpffs: Path, tmp_path: Path) -> None:
    with planted(ONE_LINE, bpffs / "narrow", tmp_path) as lab:
        for scene in (*SCENES, what_finds_no_room_is_told):
            lab.clear()
            scene(lab)


IN_EVERY_RUN = (Fault("one way for all", "stats.h", "ms_is_set(line->rule[way] ^ rule) << way", "0 * way"),)
IN_LONG_RUNS = (
    Fault("full lines are full", "stats.h", "\t\tms_count_elsewhere(stats, rule, length);\n", ""),
    Fault("nobody's way", "stats.h", "line->rule[ms_first_way(found)] = rule;", ""),
    Fault("one processor's lines", "stats.h", "bpf_get_smp_processor_id() * MS_RULE_SHARE + ", "0 * "),
    Fault("no default", "stats.h", "stats->default_packets++;", ""),
)


@each(*IN_EVERY_RUN, *(IN_LONG_RUNS if is_long() else ()))
@pytest.mark.compiles
def test_a_planted_fault_is_found(fault: Fault, bpffs: Path, tmp_path: Path) -> None:
    with planted(fault, bpffs / "mistaken", tmp_path, ONE_LINE) as lab:
        assert is_found(lab, SCENES)
