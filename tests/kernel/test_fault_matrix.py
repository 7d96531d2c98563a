"""The fault matrix: every step x every kind of end x every kind of apply, on the real kernel (I3).

After each, what decides about packets is that of before or that of after, whole; the next apply succeeds;
then nothing is left over. The table is printed. Steps are those of `apply.STEPS`: new ones take part by
themselves.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from conftest import TABLE
from kernel.borrowed import LARGER, SMALL, BorrowingPlane, Lender
from kernel.fault_matrix import (
    AFTER,
    BEFORE,
    Dump,
    Injection,
    Instance,
    dump,
    pins_of,
    processes_of,
    qdiscs,
    request_for,
    run_cell,
)
from kernel.laboratory import run

from microseg.kernel.dataplane import PinnedDataPlane
from microseg.reconcile.apply import STEPS, StepName, apply
from microseg.reconcile.transaction import Request

pytestmark = [pytest.mark.only_tc, pytest.mark.compiles]
ONE, TWO = ("cable0",), ("cable0", "cable1")


@dataclass(frozen=True)
class Scenario:
    """A kind of apply: where there is a policy before, and where there is to be one.

    Filters can't change at the instant at which the policy does. So what changes both may stop between: all
    filters as after, and the policy wholly that of before.
    """

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    upgrade: bool = False
    """The program is another one afterwards, and maps are larger."""
    policy: str = AFTER
    may_stop_between: bool = False


SCENARIOS = (
    Scenario("first load", (), ONE),
    Scenario("first load on two", (), TWO),
    Scenario("change", ONE, ONE),
    Scenario("two interfaces", TWO, TWO),
    Scenario("upgrade", TWO, TWO, upgrade=True, policy=BEFORE),
    Scenario("upgrade and change", ONE, ONE, upgrade=True, may_stop_between=True),
    Scenario("one interface more", ONE, TWO, may_stop_between=True),
)


@pytest.fixture(scope="module")
def lender(bpffs: Path) -> Iterator[Lender]:
    """The programs and maps of every cell."""
    plane = PinnedDataPlane(bpffs / f"lender{secrets.token_hex(3)}")
    plane.load(SMALL)
    made = Lender(plane, SMALL, LARGER)
    yield made
    made.close()
    plane.unload()


@pytest.fixture
def cables(namespace: None) -> None:  # noqa: ARG001  # laid in it
    for name in TWO:
        run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p")


@dataclass(frozen=True)
class Bench:
    """Makes the instances of one kind of apply, each as it is before it."""

    scenario: Scenario
    lender: Lender
    pins: Path
    folder: Path

    def instance(self) -> Instance:
        name = secrets.token_hex(4)
        self.lender.forget_everything()
        made = Instance(BorrowingPlane(self.pins / name, self.lender), self.folder / name)
        if self.scenario.before:
            made.apply(request_for(BEFORE, self.scenario.before, sizing=SMALL))
        return made

    def request(self) -> Request:
        program = {"sizing": LARGER, "debug_program": True} if self.scenario.upgrade else {"sizing": SMALL}
        return request_for(self.scenario.policy, self.scenario.after, **program)


def outcome_of(found: Dump, before: Dump, after: Dump, *, may_stop_between: bool) -> str:
    """Return which of the two it is; what is neither fails."""
    between = replace(before, filters=after.filters)
    if found == before:
        return "before"
    if found == between and may_stop_between:
        return "between"
    assert found == after, f"neither as before nor as after: {found}"
    return "after"


def check_cell(bench: Bench, name: StepName, injection: Injection, expected: tuple[Dump, Dump]) -> str:
    """Run one cell and return what stood after it."""
    instance, mark = bench.instance(), secrets.token_hex(8)
    untouched = qdiscs(TWO) if not bench.scenario.before else ""
    try:
        run_cell(instance, bench.request(), name, injection, mark)
        found = dump(instance.plane)
        stands = outcome_of(found, *expected, may_stop_between=bench.scenario.may_stop_between)
        assert processes_of(mark) == []

        instance.apply(bench.request())
        assert dump(instance.plane).meaning() == expected[1].meaning()
        loads = {pin.split("/")[0] for pin in pins_of(instance.plane) if pin.startswith("programs_")}
        assert len(loads) == 1, "programs of an earlier load are left"
    finally:
        instance.plane.unload()
    assert not instance.plane._pin_dir.exists()  # noqa: SLF001
    assert not untouched or qdiscs(TWO) == untouched
    return stands


@pytest.mark.usefixtures("cables")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda it: it.name.replace(" ", "-"))
def test_a_broken_apply_is_wholly_before_or_wholly_after(
    scenario: Scenario,
    lender: Lender,
    bpffs: Path,
    tmp_path: Path,
    record_property: Callable[[str, str], None],
) -> None:
    bench = Bench(scenario, lender, bpffs, tmp_path)
    expected, needed = reference(bench)
    rows = {
        name: [check_cell(bench, name, injection, expected) for injection in Injection] for name in needed
    }
    record_property(TABLE, table(scenario.name, rows))
    killed = [stands for name in needed for stands in rows[name][2:]]
    order = ["before", "between", "after"]
    assert killed == sorted(killed, key=order.index), "once the new policy is in force it stays"
    errors = [stands for name in needed for stands in rows[name][:2]]
    assert set(errors[: 2 * needed.index(StepName.RECORD)]) == {"before"}, "a failure is taken back"


def reference(bench: Bench) -> tuple[tuple[Dump, Dump], list[StepName]]:
    """Return what is before and after an apply that succeeds, and the steps it takes."""
    instance, steps = bench.instance(), list[StepName]()
    before = dump(instance.plane)
    apply(instance.host, bench.request(), announce=steps.append)
    after = dump(instance.plane)
    instance.plane.unload()
    assert before.meaning() != after.meaning()
    return (before, after), steps


def table(title: str, rows: dict[StepName, list[str]]) -> str:
    """Return the cells for people; a step that this kind of apply doesn't take has none."""
    head = [title, *(it.value for it in Injection)]
    body = [[step.name.value, *rows.get(step.name, "----")] for step in STEPS]
    return "\n".join(["", *("".join(f"{cell:<19}" for cell in row).rstrip() for row in (head, *body))])
