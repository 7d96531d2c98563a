from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from reconcile.fake import FakeDataPlane
from reconcile.worlds import OPERATOR, host_of, policy, request_for, slots

from microseg.abi import SlotContents
from microseg.reconcile import image_file
from microseg.reconcile.apply import apply
from microseg.reconcile.attachment import attach, detach
from microseg.reconcile.confirm import confirm
from microseg.reconcile.dataplane import Attachment, Hook, Sizing
from microseg.reconcile.errors import RestoreError
from microseg.reconcile.records import Operation, Outcome
from microseg.reconcile.restore import Restoration, RestoreResult, restore
from microseg.reconcile.rollback import roll_back
from microseg.reconcile.transaction import Host


@pytest.fixture
def host(plane: FakeDataPlane, tmp_path: Path) -> Host:
    """Generation 2 was applied and confirmed."""
    host = host_of(plane, tmp_path)
    apply(host, request_for(policy(1)))
    apply(host, request_for(policy(2)))
    return host


def restart(host: Host) -> FakeDataPlane:
    """Forget what the kernel knows."""
    plane = host.plane
    assert isinstance(plane, FakeDataPlane)
    plane.forget()
    plane.boot_s = 10
    return plane


def restored(host: Host, sizing: Sizing | None = None) -> RestoreResult:
    return restore(host, Restoration(OPERATOR, sizing or Sizing(), 0, None, lambda _: None))


def image_of(host: Host, generation: int) -> Path:
    return host.store.root / "generations" / f"{generation}.image.gz"


def test_a_restart_brings_back_what_was_in_force(host: Host) -> None:
    attach(host, OPERATOR, ["eth1"], Hook.CLSACT)
    plane = restart(host)

    result = restored(host)

    assert plane.live_maps() == policy(2).contents.maps
    assert plane.attached == {"eth0": Hook.TCX, "eth1": Hook.CLSACT}
    assert result.confirmed is not None
    assert (result.generation, result.confirmed.generation) == (3, 2), "a number is never used twice"
    last = host.store.read_history()[-1]
    assert (last.operation, last.outcome, last.revision) == (
        Operation.RESTORE,
        Outcome.DONE,
        policy(2).revision,
    )
    assert apply(host, request_for(policy(2))).plan.is_empty, "names and revision are known as well"
    assert restored(host).confirmed is None, "the second time there is nothing to do"
    restart(host)
    assert restored(host).generation == 5


def test_what_was_never_confirmed_does_not_come_back(host: Host) -> None:
    apply(host, replace(request_for(policy(3)), confirm_within_s=60))
    plane = restart(host)
    restored(host)
    assert plane.live_maps() == policy(2).contents.maps
    assert plane.root.deadline_s == 0


def test_what_was_confirmed_comes_back(host: Host) -> None:
    apply(host, replace(request_for(policy(3)), confirm_within_s=60))
    confirm(host, OPERATOR)
    plane = restart(host)
    restored(host)
    assert plane.live_maps() == policy(3).contents.maps


def test_a_rollback_counts_as_confirmed(host: Host) -> None:
    roll_back(host, OPERATOR)
    plane = restart(host)
    restored(host)
    assert plane.live_maps() == policy(1).contents.maps


def test_after_a_first_apply_that_was_never_confirmed_there_is_nothing(
    plane: FakeDataPlane, tmp_path: Path
) -> None:
    host = host_of(plane, tmp_path)
    assert restored(host) == RestoreResult(0, None)
    apply(host, replace(request_for(policy(1)), confirm_within_s=60))
    restart(host)
    assert restored(host).generation == 0
    assert not plane.loaded


def test_after_detach_there_is_nothing(host: Host) -> None:
    detach(host, OPERATOR)
    assert restored(host).generation == 0


def test_an_interface_that_is_not_there_costs_only_itself(host: Host) -> None:
    attach(host, OPERATOR, ["eth1"], None)
    plane = restart(host)
    plane.interfaces = {"eth1"}
    result = restored(host)
    assert (result.missing, plane.attached) == (("eth0",), {"eth1": Hook.TCX})

    plane.interfaces.add("eth0")
    again = restored(host)
    assert (again.confirmed, again.attached, again.missing) == (None, (Attachment("eth0", Hook.TCX),), ())
    assert set(plane.attached) == {"eth0", "eth1"}


def test_an_interface_that_is_gone_for_good_is_forgotten_by_detach(host: Host) -> None:
    attach(host, OPERATOR, ["eth1"], None)
    plane = restart(host)
    plane.interfaces = {"eth1"}
    restored(host)
    detach(host, OPERATOR, ["eth0"])
    restart(host)
    assert restored(host).missing == ()


def test_without_any_interface_the_policy_waits_for_them(host: Host) -> None:
    plane = restart(host)
    plane.interfaces = set()
    assert restored(host).missing == ("eth0",)
    assert plane.live_maps() == policy(2).contents.maps


def test_maps_are_made_large_enough(host: Host) -> None:
    plane = restart(host)
    restored(host, Sizing(rules=1, addresses=1, services=1))
    assert plane.sizing.rules == len(plane.live_maps()[next(iter(reversed(plane.live_maps())))])


def flip_a_bit(path: Path) -> None:
    value = json.loads(gzip.decompress(path.read_bytes()))
    key = next(iter(value["maps"]["policy"]))
    value["maps"]["policy"][key] = "ff" * 12
    path.write_bytes(gzip.compress(json.dumps(value).encode()))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def scribble(path: Path) -> None:
    path.write_bytes(b"hello")


def of_another(path: Path) -> None:
    shutil.copy(path.with_name("1.image.gz"), path)


@pytest.mark.parametrize("damage", [flip_a_bit, cut, scribble, of_another])
def test_a_damaged_image_is_set_aside_and_not_loaded(host: Host, damage) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    damage(image_of(host, 2))
    plane = restart(host)
    with pytest.raises(RestoreError, match=r"set aside as 2\.image\.gz\.broken-1") as caught:
        restored(host)
    assert "policy 2" in caught.value.advice
    assert not plane.loaded
    with pytest.raises(RestoreError, match="missing"):
        restored(host)
    apply(host, request_for(policy(2)))
    restart(host)
    assert restored(host).generation


def test_a_broken_state_is_no_reason_to_believe_that_there_is_nothing(host: Host) -> None:
    (host.store.root / "state.json").write_text("garbage")
    restart(host)
    with pytest.raises(RestoreError, match=r"isn't known any more: .*set aside as state.json.broken-1"):
        restored(host)


def test_lost_names_are_told_and_cost_nothing_else(host: Host) -> None:
    (host.store.root / "generations" / "2.json").write_text("garbage")
    plane = restart(host)
    assert "2.json" in restored(host).warnings[0]
    assert plane.live_maps() == policy(2).contents.maps


def test_entries_are_kept_as_long_as_they_may_be_needed(host: Host) -> None:
    for number in range(3, 7):
        apply(host, request_for(policy(number)))
    apply(host, replace(request_for(policy(7)), confirm_within_s=60))
    kept = sorted(path.name for path in (host.store.root / "generations").glob("*.gz"))
    assert kept == ["6.image.gz", "7.image.gz"]


@given(slots())
def test_an_image_is_read_as_it_was_written(contents: SlotContents) -> None:
    written = image_file.to_bytes(contents)
    assert image_file.from_bytes(written) == contents
    assert written == image_file.to_bytes(contents)
