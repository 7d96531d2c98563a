"""The program's settings: written by an apply, also when nothing else changes, and taken back with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from reconcile.fake import FakeDataPlane, Fault, When
from reconcile.worlds import host_of, policy, request_for

from microseg.abi_settings import Settings
from microseg.data_plane_settings import SettingChange
from microseg.reconcile.apply import apply, propose
from microseg.reconcile.errors import ApplyError

CHOSEN = Settings(events_per_s=5, ethertypes=(0x88CC,))


@pytest.fixture
def plane() -> FakeDataPlane:
    return FakeDataPlane()


def test_a_program_that_is_loaded_is_set_before_it_sees_a_packet(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    apply(host_of(plane, tmp_path), replace(request_for(policy(1)), settings=CHOSEN))
    assert plane.settings == CHOSEN
    assert plane.calls.index("write_settings") < plane.calls.index("attach")


def test_settings_alone_are_a_change(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, replace(request_for(policy(1)), settings=Settings()))
    plane.settings = replace(plane.settings, adopt_until_s=77, hz=100)
    request = replace(request_for(policy(1)), settings=CHOSEN)
    expected = (SettingChange("events_per_s", "1000", "5"), SettingChange("ethertypes", "[]", "[0x88cc]"))
    assert propose(host, request).plan.settings == expected
    result = apply(host, request)
    assert (result.generation, result.plan.replaces_policy) == (1, False)
    assert plane.settings == replace(CHOSEN, adopt_until_s=77, hz=100), "the program's own stay"
    assert "set events_per_s = 5" in host.store.read_history()[-1].detail
    assert apply(host, request).plan.is_empty


def test_whoever_says_nothing_of_settings_leaves_them(plane: FakeDataPlane, tmp_path: Path) -> None:
    host = host_of(plane, tmp_path)
    apply(host, replace(request_for(policy(1)), settings=CHOSEN))
    assert apply(host, request_for(policy(1))).plan.is_empty
    apply(host, request_for(policy(2)))
    assert plane.settings == CHOSEN


@pytest.mark.parametrize("call", ["write_settings", "write_root"])
@pytest.mark.parametrize("when", When)
def test_a_failure_puts_them_back(tmp_path: Path, call: str, when: When) -> None:
    whole, failing = FakeDataPlane(), FakeDataPlane()
    for plane in (whole, failing):
        host = host_of(plane, tmp_path / str(id(plane)))
        apply(host, replace(request_for(policy(1)), settings=Settings()))
        before = plane.enforced()
        if plane is whole:
            apply(host, replace(request_for(policy(2)), settings=CHOSEN))
            continue
        last = len(whole.calls) - 1 - whole.calls[::-1].index(call)
        plane.faults.append(Fault(last, when))
        with pytest.raises(ApplyError):
            apply(host, replace(request_for(policy(2)), settings=CHOSEN))
        assert plane.enforced() == before
