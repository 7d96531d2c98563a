"""Every combination of what the agent can remember and see, against what must hold for all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from microseg.agent_settings import AgentSettings, Drift
from microseg.gitops.decide import decide
from microseg.gitops.record import (
    AgentRecord,
    Candidate,
    Confirm,
    DriftFinding,
    GoBack,
    InForce,
    KernelView,
    Observation,
    Quarantine,
    Reason,
    SetAside,
    Suspension,
    Try,
    Wait,
)

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
A, B = Candidate("a" * 40, None), Candidate("b" * 40, None)
SETTINGS = AgentSettings(confirm_within_s=60)
A_IN_FORCE = InForce(A, 1, b"1", NOW, NOW.date())
B_IN_FORCE = InForce(B, 2, b"2", NOW, NOW.date())
FIRST, SECOND = KernelView(1, b"1"), KernelView(2, b"2")
QUARANTINE_A, QUARANTINE_B = Quarantine(A, "why", NOW), Quarantine(B, "why", NOW)
DIFFERENT = DriftFinding(NOW, ("an entry",))
SOMEBODY = Suspension("root", "", NOW)


class Case(NamedTuple):
    record: AgentRecord
    seen: Observation
    settings: AgentSettings


KERNELS = (
    None, KernelView(), FIRST, SECOND, replace(FIRST, went_back=2), replace(KernelView(), went_back=1),
    replace(SECOND, confirm_left_s=59), replace(SECOND, confirm_left_s=9), KernelView(7, b"7"),
)  # fmt: skip


def every_record() -> Iterator[AgentRecord]:
    for applied, quarantine, pause_s in itertools.product(
        (None, A_IN_FORCE, B_IN_FORCE), (None, QUARANTINE_A, QUARANTINE_B), (None, -1, 1)
    ):
        next_try = None if pause_s is None else NOW + timedelta(seconds=pause_s)
        yield AgentRecord(applied=applied, quarantine=quarantine, next_try=next_try)


def every_observation() -> Iterator[Observation]:
    for candidate, kernel, suspension, asked, drift in itertools.product(
        (None, A, B), KERNELS, (None, SOMEBODY), (False, True), (None, DIFFERENT)
    ):
        for now, failed in itertools.product((NOW, NOW + timedelta(days=1)), (None, (), ("10.0.0.1:22",))):
            yield Observation(
                now, candidate, kernel=kernel, suspension=suspension, asked=asked, drift=drift,
                probes_failed=failed,
            )  # fmt: skip


def every_case() -> Iterator[Case]:
    for record, seen, mode in itertools.product(every_record(), every_observation(), Drift):
        yield Case(record, seen, replace(SETTINGS, drift=mode))


def check(case: Case) -> None:
    record, seen, settings = case
    action = decide(record, seen, settings)
    quarantined = record.quarantine.candidate if record.quarantine else None
    if seen.suspension or seen.kernel is None:
        assert isinstance(action, Wait)
        return
    if seen.kernel.confirm_left_s:
        assert isinstance(action, Wait | Confirm | GoBack), "nothing new while something waits"
    match action:
        case Try(candidate, reason):
            assert candidate in (seen.candidate, record.applied and record.applied.candidate)
            assert seen.asked or candidate != quarantined
            assert seen.asked or record.next_try is None or record.next_try <= seen.now
            assert seen.asked or reason is not Reason.DRIFT or settings.drift is Drift.HEAL
        case Confirm() | GoBack():
            assert record.applied
            assert record.applied.generation == seen.kernel.generation, "others' are theirs"
            assert (action == Confirm()) is (seen.probes_failed == ())
        case SetAside(candidate):
            assert record.applied
            assert seen.kernel.went_back == record.applied.generation
            assert candidate == record.applied.candidate != quarantined
        case Wait():
            is_free = seen.candidate != quarantined and not seen.kernel.confirm_left_s
            if seen.candidate and is_free and (record.next_try is None or record.next_try <= seen.now):
                assert record.applied, "there is something to do"
                assert record.applied.candidate == seen.candidate, "there is something to do"
                assert seen.kernel.generation, "there is something to do"
                assert record.applied.day == seen.now.date(), "there is something to do"


def test_every_combination() -> None:
    count = 0
    for case in every_case():
        check(case)
        count += 1
    assert count == (3 * 3 * 3) * (3 * 9 * 2 * 2 * 2 * 2 * 3) * 3


@pytest.mark.parametrize(
    ("record", "seen", "expected"),
    [
        (AgentRecord(), Observation(NOW, kernel=FIRST), Wait("there is nothing to apply yet")),
        (AgentRecord(), Observation(NOW, A, kernel=KernelView()), Try(A, Reason.NEW)),
        (AgentRecord(applied=A_IN_FORCE), Observation(NOW, A, kernel=FIRST), Wait("as desired")),
        (AgentRecord(applied=A_IN_FORCE), Observation(NOW, B, kernel=FIRST), Try(B, Reason.NEW)),
        (
            AgentRecord(applied=A_IN_FORCE),
            Observation(NOW + timedelta(days=1), A, kernel=FIRST),
            Try(A, Reason.DAY),
        ),
        (AgentRecord(applied=A_IN_FORCE), Observation(NOW, A, kernel=KernelView()), Try(A, Reason.MISSING)),
        (AgentRecord(applied=A_IN_FORCE), Observation(NOW, A, kernel=SECOND), Try(A, Reason.DRIFT)),
        (
            AgentRecord(applied=A_IN_FORCE),
            Observation(NOW, A, kernel=FIRST, drift=DIFFERENT),
            Try(A, Reason.DRIFT),
        ),
        (
            AgentRecord(applied=A_IN_FORCE, quarantine=QUARANTINE_B),
            Observation(NOW, B, kernel=FIRST),
            Wait("quarantine"),
        ),
        (
            AgentRecord(applied=A_IN_FORCE, quarantine=QUARANTINE_B),
            Observation(NOW + timedelta(days=1), B, kernel=FIRST),
            Try(A, Reason.DAY),
        ),
        (
            AgentRecord(applied=A_IN_FORCE, quarantine=QUARANTINE_B),
            Observation(NOW, B, kernel=FIRST, asked=True),
            Try(B, Reason.ASKED),
        ),
        (
            AgentRecord(applied=B_IN_FORCE),
            Observation(NOW, B, kernel=replace(FIRST, went_back=2)),
            SetAside(B, "generation 2 was rolled back or not confirmed; 1 is in force"),
        ),
        (
            AgentRecord(applied=B_IN_FORCE),
            Observation(NOW, B, kernel=replace(SECOND, confirm_left_s=29), probes_failed=("x",)),
            GoBack("no connection any more to x"),
        ),
        (
            AgentRecord(applied=B_IN_FORCE),
            Observation(NOW, B, kernel=replace(SECOND, confirm_left_s=31), probes_failed=("x",)),
            Wait("connections are being tried: x"),
        ),
        (
            AgentRecord(applied=B_IN_FORCE),
            Observation(NOW, B, kernel=replace(SECOND, confirm_left_s=59), probes_failed=()),
            Confirm(),
        ),
    ],
)
def test_by_hand(record: AgentRecord, seen: Observation, expected: object) -> None:
    assert decide(record, seen, SETTINGS) == expected
