"""An apply that is killed while another process compiles and verifies for it: nothing of either is left."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from kernel.borrowed import SMALL
from kernel.fault_matrix import BEFORE, NOTHING, Instance, dump, processes_of, request_for
from kernel.laboratory import run

from microseg.kernel.bpf import Attributes, Command
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.maps import Map
from microseg.reconcile.apply import STEPS
from microseg.reconcile.attachment import detach
from microseg.reconcile.transaction import Operator

pytestmark = [pytest.mark.only_tc, pytest.mark.compiles]
PATIENCE_S = 120


def wait_until(happened: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def map_ids(pin_dir: Path) -> set[int]:
    ids = set()
    for path in pin_dir.glob("programs_*/maps/*"):
        with Map.pinned(path) as found:
            ids.add(found.info.id)
    return ids


def is_alive(map_id: int) -> bool:
    descriptor, _ = Attributes("I", map_id).call(Command.MAP_GET_FD_BY_ID)
    if descriptor >= 0:
        os.close(descriptor)
    return descriptor >= 0


@pytest.mark.usefixtures("namespace")
def test_the_loader_ends_with_the_apply_and_the_next_one_finds_its_way(bpffs: Path, tmp_path: Path) -> None:
    run("ip", "link", "add", "cable0", "type", "veth", "peer", "name", "cable1")
    pin_dir, mark = bpffs / f"killed{secrets.token_hex(3)}", secrets.token_hex(8)
    instance = Instance(PinnedDataPlane(pin_dir), tmp_path)
    request = request_for(BEFORE, ("cable0",), sizing=SMALL)
    child = os.fork()
    if not child:
        with suppress(BaseException):
            os.environ["MICROSEG_TEST_CELL"] = mark
            instance.apply(request, STEPS)
        os._exit(0)
    wait_until(lambda: list(pin_dir.glob("programs_*/maps/session4")), "the loader's first maps")
    assert any("microseg.kernel.loader" in command for command in processes_of(mark))

    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    wait_until(lambda: not processes_of(mark), "the end of the loader")
    assert dump(instance.plane) == NOTHING
    assert instance.plane.attachments() == ()
    half_made = map_ids(pin_dir)
    assert half_made
    instance.apply(request)
    assert dump(instance.plane) != NOTHING
    assert instance.plane.read_settings().hz
    whole = map_ids(pin_dir)
    instance.plane.close()
    detach(instance.host, Operator("root", "a test"))
    assert not pin_dir.exists()
    wait_until(lambda: not any(map(is_alive, half_made | whole)), "the end of the maps")


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize(
    "folders", [["programs_1_0123456789ab/maps"], ["programs_1", "maps"]], ids=["now", "earlier"]
)
def test_detach_removes_what_a_killed_load_left(bpffs: Path, tmp_path: Path, folders: list[str]) -> None:
    pin_dir = bpffs / f"half{secrets.token_hex(3)}"
    for folder in folders:
        (pin_dir / folder).mkdir(parents=True)
    instance = Instance(PinnedDataPlane(pin_dir), tmp_path)
    assert not detach(instance.host, Operator("root", "a test")).unloaded
    assert not pin_dir.exists()
