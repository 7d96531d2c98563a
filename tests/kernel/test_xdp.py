"""XDP on interfaces: in the driver or in the kernel, beside TC on egress, never in somebody else's place."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kernel.laboratory import Laboratory, allow, run
from kernel.sizing import SIZING
from kernel.test_attaching import (
    Wire,
    add_their_filter,
    attached,
    borrowed,
    connects,
    pin_dir,
    wire,
)

from microseg.abi_flow import Direction
from microseg.abi_outcome import Outcome
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.interfaces import interface_index
from microseg.kernel.links import Link, link_path
from microseg.kernel.tcx import tcx_supported
from microseg.reconcile.dataplane import Attachment, Hook, KernelError

pytestmark = pytest.mark.only_tc  # attaches by itself
__all__ = ["attached", "borrowed", "wire"]

PORT = 7777
OTHER_HOOKS = [Hook.TCX, Hook.CLSACT] if tcx_supported() else [Hook.CLSACT]


def xdp_of(interface: str) -> dict[str, object]:
    """Return what `ip link` says of the XDP program: mode 1 is the driver's, 2 the kernel's."""
    (link,) = json.loads(run("ip", "-json", "-details", "link", "show", "dev", interface))
    shown: dict[str, object] = link.get("xdp", {})
    return shown


def link_id(plane: PinnedDataPlane, interface: str) -> tuple[int, int]:
    """Return the identity of the pinned link (its inode) and the id of the program it runs."""
    path = link_path(pin_dir(plane) / "links", interface_index(interface), Hook.XDP, Direction.INGRESS)
    with Link.pinned(path) as link:
        return path.stat().st_ino, link.info().program_id


@contextmanager
def their_program(interface: str, plane: PinnedDataPlane, mode: str = "xdp") -> Iterator[None]:
    """Attach an XDP program as somebody else would (it borrows ours, which lets everything pass)."""
    program = pin_dir(plane) / "programs" / "xdp" / "ingress"
    run("ip", "link", "set", "dev", interface, mode, "pinned", str(program))
    try:
        yield
    finally:
        run("ip", "link", "set", "dev", interface, mode, "off")


def test_it_is_in_the_driver_where_that_can_be(attached: PinnedDataPlane, wire: Wire) -> None:
    attached.attach([Attachment(name, Hook.XDP) for name in (wire.near, "lo")])
    assert xdp_of(wire.near)["mode"] == 1
    assert xdp_of("lo")["mode"] == 2
    assert attached.attachments() == tuple(Attachment(name, Hook.XDP) for name in ("lo", wire.near))
    attached.detach(["lo", wire.near])
    assert xdp_of("lo") == xdp_of(wire.near) == {}
    assert attached.attachments() == ()


def test_frames_too_large_for_the_driver_go_to_the_kernel(
    lab: Laboratory, attached: PinnedDataPlane, wire: Wire
) -> None:
    for where in (("-n", wire.far_namespace, "link", "set", "far0"), ("link", "set", wire.near)):
        run("ip", where, "mtu", "9000")
    attached.attach([Attachment(wire.near, Hook.XDP)])
    assert xdp_of(wire.near)["mode"] == 2
    lab.enforce(allow("10.77.0.1", "10.77.0.2", f"tcp/{PORT}"))
    assert connects(wire)


@pytest.mark.parametrize("mode", ["xdpdrv", "xdpgeneric"])
def test_program_of_somebody_else_stays(attached: PinnedDataPlane, wire: Wire, mode: str) -> None:
    attached.require_xdp()
    with their_program(wire.near, attached, mode):
        before = xdp_of(wire.near)
        with pytest.raises(
            KernelError, match=f"interface {wire.near} has an XDP program of somebody"
        ) as raised:
            attached.attach([Attachment(wire.near, Hook.XDP)])
        assert "--hook tcx" in raised.value.advice
        assert xdp_of(wire.near) == before
        assert attached.attachments() == ()
        filters = run("tc", "filter", "show", "dev", wire.near, "egress")
        assert not filters, "the TC program that goes beside it was put back too"


def test_ours_cannot_be_replaced_by_accident(attached: PinnedDataPlane, wire: Wire) -> None:
    attached.attach([Attachment(wire.near, Hook.XDP)])
    program = str(pin_dir(attached) / "programs" / "xdp" / "ingress")
    for words in (["off"], ["pinned", program]):
        done = subprocess.run(
            ["ip", "link", "set", "dev", wire.near, "xdp", *words], check=False, capture_output=True
        )
        assert done.returncode
    assert attached.attachments() == (Attachment(wire.near, Hook.XDP),)


def test_what_comes_in_is_judged_by_xdp_and_what_goes_out_by_tc(
    lab: Laboratory, attached: PinnedDataPlane, wire: Wire
) -> None:
    attached.attach([Attachment(wire.near, Hook.XDP)])
    lab.enforce(allow("10.77.0.1", "10.77.0.2", f"tcp/{PORT}"))
    assert connects(wire), "the answers belong to the session that TC saw open"
    (session,) = lab.sessions()
    assert str(session.client[0]) == wire.near_address
    assert min(session.packets) >= 3
    ping = wire.far("ping", "-c", "1", "-W", "1", wire.near_address)
    assert ping.wait() == 1
    ping.communicate()
    denied = [event for event in lab.events() if event.protocol == 1]
    assert [event.outcome for event in denied] == [Outcome.DROP_DEFAULT]
    assert denied[0].direction is Direction.INGRESS
    assert denied[0].ifindex == interface_index(wire.near)


@pytest.mark.parametrize("other", OTHER_HOOKS)
def test_changing_the_hook_leaves_one(attached: PinnedDataPlane, wire: Wire, other: Hook) -> None:
    for hook in (Hook.XDP, other, Hook.XDP):
        attached.attach([Attachment(wire.near, hook)])
        assert attached.attachments() == (Attachment(wire.near, hook),)
        assert bool(xdp_of(wire.near)) == (hook is Hook.XDP)
        ours = [found.direction for found in attached._attacher.attached()]  # noqa: SLF001
        assert sorted(ours) == [Direction.INGRESS, Direction.EGRESS]


@pytest.mark.compiles
def test_reloaded_program_takes_its_place_in_the_same_link(borrowed: PinnedDataPlane, wire: Wire) -> None:
    borrowed.attach([Attachment(wire.near, Hook.XDP)])
    link, program = link_id(borrowed, wire.near)
    borrowed.load(SIZING, debug=True)
    borrowed.attach([Attachment(wire.near, Hook.XDP)])
    after_link, after_program = link_id(borrowed, wire.near)
    assert (after_link, after_program != program) == (link, True)
    borrowed.remove_leftovers()
    folders = [path.name for path in pin_dir(borrowed).iterdir() if path.name.startswith("programs_")]
    assert len(folders) == 1


def test_failure_on_one_interface_puts_all_back(attached: PinnedDataPlane, wire: Wire) -> None:
    attached.require_xdp()
    run("ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1")
    with their_program("other0", attached):
        with pytest.raises(KernelError, match="other0"):
            attached.attach([Attachment(name, Hook.XDP) for name in (wire.near, "other0")])
        assert xdp_of(wire.near) == {}
        assert attached.attachments() == ()


def test_tc_programs_of_others_run_behind_it(attached: PinnedDataPlane, wire: Wire) -> None:
    run("tc", "qdisc", "add", "dev", wire.near, "clsact")
    add_their_filter(attached, wire, "ingress")
    attached.attach([Attachment(wire.near, Hook.XDP)])
    run("ip", "netns", "exec", wire.far_namespace, "ping", "-c", "1", "-W", "1", wire.near_address)
    attached.detach([wire.near])
    assert "ms_clock" in run("tc", "filter", "show", "dev", wire.near, "ingress")


@pytest.mark.compiles
def test_it_is_loaded_when_it_is_first_asked_for(borrowed: PinnedDataPlane, wire: Wire) -> None:
    assert not any(name.startswith("xdp/") for name in borrowed.program_tags())
    borrowed.attach([Attachment(wire.near, Hook.XDP)])
    assert {"xdp/ingress", "xdp/ingress_l3", "xdp/cold"} <= set(borrowed.program_tags())
