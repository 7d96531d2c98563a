"""Interfaces: attaching, replacing, detaching, putting back, leaving others' filters alone, real traffic."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from kernel.bare_device import tun
from kernel.borrowed import Lender
from kernel.laboratory import Laboratory, allow, run
from kernel.sizing import SIZING
from scapy.layers.inet import IP, UDP

from microseg.abi_flow import Direction, Link
from microseg.abi_outcome import Outcome
from microseg.kernel import tc
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.interfaces import interface_index, link_of
from microseg.kernel.links import Link as BpfLink
from microseg.kernel.links import link_path
from microseg.kernel.maps import Map
from microseg.kernel.tcx import tcx_supported
from microseg.reconcile.dataplane import Attachment, Hook, InterfaceMissingError, KernelError, NotLoadedError

PORT = 7777
PATIENCE_S = 20.0

pytestmark = pytest.mark.only_tc  # attaches by itself
HOOKS = [
    pytest.param(Hook.TCX, marks=pytest.mark.skipif(not tcx_supported(), reason="kernel without TCX")),
    Hook.CLSACT,
    Hook.XDP,
]


@dataclass
class Wire:
    """A veth pair: `near` in the test's own namespace, its peer in another one."""

    near: str
    far_namespace: str
    near_address: str = "10.77.0.1"
    far_address: str = "10.77.0.2"

    def far(self, *command: str) -> subprocess.Popen[str]:
        words = ["ip", "netns", "exec", self.far_namespace, *command]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def wire(namespace: None) -> Iterator[Wire]:  # noqa: ARG001  # the test runs in it
    far = f"msfar{os.getpid()}"
    run("ip", "netns", "add", far)
    run("ip", "link", "add", "near0", "type", "veth", "peer", "name", "far0", "netns", far)
    made = Wire("near0", far)
    run("ip", "address", "add", f"{made.near_address}/24", "dev", "near0")
    run("ip", "link", "set", "near0", "up")
    run("ip", "-n", far, "address", "add", f"{made.far_address}/24", "dev", "far0")
    run("ip", "-n", far, "link", "set", "far0", "up")
    run("ip", "-n", far, "link", "set", "lo", "up")
    yield made
    run("ip", "netns", "del", far)


@pytest.fixture
def attached(plane: PinnedDataPlane, wire: Wire) -> Iterator[PinnedDataPlane]:
    yield plane
    plane.detach([wire.near])


@pytest.fixture
def borrowed(lender: Lender, bpffs: Path, wire: Wire) -> Iterator[PinnedDataPlane]:  # noqa: ARG001  # in its namespace
    """One that has another load at hand: that of the DEBUG build."""
    plane = lender.lend(bpffs / "borrowed")
    yield plane
    plane.unload()


def connects(wire: Wire, port: int = PORT) -> bool:
    """Say whether a TCP connection to the far end comes about and carries data both ways."""
    server = wire.far(
        "/usr/bin/python3",
        "-c",
        f"import socket; s = socket.create_server(('', {port})); print('ready', flush=True); "
        f"s.settimeout({PATIENCE_S}); c = s.accept()[0]; c.sendall(c.recv(100).upper())",
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        with socket.create_connection((wire.far_address, port), timeout=1) as client:
            client.settimeout(PATIENCE_S)
            client.sendall(b"ping")
            return client.recv(100) == b"PING"
    except TimeoutError:
        return False
    finally:
        server.kill()
        server.communicate()


@pytest.mark.parametrize("hook", HOOKS)
def test_traffic_is_judged_both_ways(
    lab: Laboratory, attached: PinnedDataPlane, wire: Wire, hook: Hook
) -> None:
    attached.attach([Attachment(wire.near, hook)])
    assert attached.attachments() == (Attachment(wire.near, hook),)
    lab.enforce(allow("10.77.0.1", "10.77.0.2", f"tcp/{PORT}"))
    assert connects(wire)
    (session,) = lab.sessions()
    assert (str(session.client[0]), session.server[1]) == (wire.near_address, PORT)
    assert min(session.packets) >= 3
    lab.enforce(allow("10.77.0.1", "10.77.0.2", "tcp/1"))
    assert not connects(wire)
    refused = [
        event for event in lab.events() if event.outcome is Outcome.DROP_DEFAULT and event.protocol == 6
    ]
    assert refused[0].direction is Direction.EGRESS
    assert refused[0].ifindex == interface_index(wire.near)
    attached.detach([wire.near])
    assert attached.attachments() == ()
    assert connects(wire)


@pytest.mark.parametrize("hook", HOOKS)
def test_attaching_twice_leaves_one_program(attached: PinnedDataPlane, wire: Wire, hook: Hook) -> None:
    for _ in range(3):
        attached.attach([Attachment(wire.near, hook)])
    assert attached.attachments() == (Attachment(wire.near, hook),)
    filters = run("tc", "filter", "show", "dev", wire.near, "ingress")
    assert filters.count("handle 0x") == (1 if hook is Hook.CLSACT else 0)


@pytest.mark.compiles
@pytest.mark.parametrize("hook", HOOKS)
def test_reloaded_program_replaces_the_attached_one(
    borrowed: PinnedDataPlane, wire: Wire, hook: Hook
) -> None:
    borrowed.attach([Attachment(wire.near, hook)])
    before = program_ids(borrowed)
    folders = sorted(path.name for path in pin_dir(borrowed).iterdir() if path.name.startswith("programs_"))
    borrowed.load(SIZING, debug=True)
    assert program_ids(borrowed) == before, "loading alone changes nothing"
    borrowed.attach([Attachment(wire.near, hook)])
    borrowed.remove_leftovers()
    after = program_ids(borrowed)
    assert len(after) == 2
    assert not set(after) & set(before)
    left = sorted(path.name for path in pin_dir(borrowed).iterdir() if path.name.startswith("programs_"))
    assert len(left) == 1
    assert left != folders, "the programs of the earlier load are gone once nothing runs them"


def pin_dir(plane: PinnedDataPlane) -> Path:
    return plane._pin_dir  # noqa: SLF001


def program_ids(plane: PinnedDataPlane) -> list[int]:
    return [found.program_id for found in plane._attacher.attached()]  # noqa: SLF001


@pytest.mark.compiles
@pytest.mark.parametrize("hook", HOOKS)
def test_failure_on_one_interface_puts_all_back(borrowed: PinnedDataPlane, wire: Wire, hook: Hook) -> None:
    run("ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1")
    borrowed.attach([Attachment("other0", hook)])
    before = program_ids(borrowed)
    borrowed.load(SIZING, debug=True)
    with pytest.raises(InterfaceMissingError, match="no interface missing0"):
        borrowed.attach([Attachment(name, hook) for name in ("other0", wire.near, "missing0")])
    assert borrowed.attachments() == (Attachment("other0", hook),)
    assert program_ids(borrowed) == before, "other0 runs its earlier program again"
    assert "clsact" not in run("tc", "qdisc", "show", "dev", wire.near)
    borrowed.detach(["other0"])


@pytest.mark.parametrize("already", [False, True], ids=["anew", "again"])
@pytest.mark.parametrize("hook", HOOKS)
def test_interfaces_that_vanish_between_two_attachments(
    attached: PinnedDataPlane, wire: Wire, hook: Hook, monkeypatch: pytest.MonkeyPatch, *, already: bool
) -> None:
    """One that has had its turn goes, and one whose turn is next."""
    for name in ("gone", "late"):
        run("ip", "link", "add", f"{name}0", "type", "veth", "peer", "name", f"{name}1")
    if already:
        attached.attach([Attachment("gone0", hook)])

    def index_of(name: str) -> int:
        if name == "late0":
            run("ip", "link", "delete", "gone0")
            run("ip", "link", "delete", "late0")
        return interface_index(name)

    monkeypatch.setattr("microseg.kernel.attaching.interface_index", index_of)
    with pytest.raises(InterfaceMissingError, match="no interface late0"):
        attached.attach([Attachment(name, hook) for name in ("gone0", wire.near, "late0")])
    monkeypatch.undo()
    assert attached.attachments() == ()
    assert "clsact" not in run("tc", "qdisc", "show", "dev", wire.near)
    attached.attach([Attachment(wire.near, hook)])
    assert attached.attachments() == (Attachment(wire.near, hook),)


def add_their_filter(plane: PinnedDataPlane, wire: Wire, direction: str) -> None:
    """Add a filter that is none of ours (though it borrows a program of ours that lets everything pass)."""
    where = ("dev", wire.near, direction, "prio", "50")
    run("tc", "filter", "add", where, "bpf", "da", "pinned", str(pin_dir(plane) / "programs" / "clock"))


@pytest.mark.parametrize("hook", HOOKS)
def test_other_people_s_filters_stay(attached: PinnedDataPlane, wire: Wire, hook: Hook) -> None:
    run("tc", "qdisc", "add", "dev", wire.near, "clsact")
    add_their_filter(attached, wire, "ingress")
    attached.attach([Attachment(wire.near, hook)])
    attached.detach([wire.near])
    assert "ms_clock" in run("tc", "filter", "show", "dev", wire.near, "ingress")
    assert "clsact" in run("tc", "qdisc", "show", "dev", wire.near)


def test_qdisc_of_ours_goes_when_it_is_empty(attached: PinnedDataPlane, wire: Wire) -> None:
    attached.attach([Attachment(wire.near, Hook.CLSACT)])
    assert "clsact" in run("tc", "qdisc", "show", "dev", wire.near)
    attached.detach([wire.near])
    assert "clsact" not in run("tc", "qdisc", "show", "dev", wire.near)


def test_qdisc_of_ours_stays_while_others_use_it(attached: PinnedDataPlane, wire: Wire) -> None:
    attached.attach([Attachment(wire.near, Hook.CLSACT)])
    add_their_filter(attached, wire, "egress")
    attached.detach([wire.near])
    assert "ms_clock" in run("tc", "filter", "show", "dev", wire.near, "egress")


def test_filter_of_somebody_else_at_our_place_is_refused(attached: PinnedDataPlane, wire: Wire) -> None:
    tc.add_clsact(interface_index(wire.near))
    with attached.program("ingress") as program:
        tc.replace_filter(interface_index(wire.near), Direction.INGRESS, "theirs", program.fd)
    with pytest.raises(KernelError, match="has a filter 'theirs'"):
        attached.attach([Attachment(wire.near, Hook.CLSACT)])
    attached.detach([wire.near])
    found = tc.find_filter(interface_index(wire.near), Direction.INGRESS)
    assert found is not None
    assert found.name == "theirs"


@pytest.mark.skipif(not tcx_supported(), reason="kernel without TCX")
def test_changing_the_hook_leaves_one(attached: PinnedDataPlane, wire: Wire) -> None:
    for hook in (Hook.CLSACT, Hook.TCX, Hook.CLSACT):
        attached.attach([Attachment(wire.near, hook)])
        assert attached.attachments() == (Attachment(wire.near, hook),)


@pytest.mark.skipif(not tcx_supported(), reason="kernel without TCX")
def test_link_of_an_interface_that_is_gone_is_replaced(attached: PinnedDataPlane, wire: Wire) -> None:
    run("ip", "link", "add", "gone0", "index", "700", "type", "veth", "peer", "name", "gone1")
    attached.attach([Attachment("gone0", Hook.TCX)])
    run("ip", "link", "del", "gone0")
    assert attached.attachments() == ()
    run("ip", "link", "add", "gone2", "index", "700", "type", "veth", "peer", "name", "gone1")
    attached.attach([Attachment("gone2", Hook.TCX), Attachment(wire.near, Hook.TCX)])
    assert {one.interface for one in attached.attachments()} == {"gone2", wire.near}
    attached.detach(["gone2", "nowhere0"])


@pytest.mark.skipif(not tcx_supported(), reason="kernel without TCX")
def test_one_direction_taken_off_is_no_attachment(attached: PinnedDataPlane, wire: Wire) -> None:
    attached.attach([Attachment(wire.near, Hook.TCX)])
    path = link_path(pin_dir(attached) / "links", interface_index(wire.near), Hook.TCX, Direction.EGRESS)
    with BpfLink.pinned(path) as link:
        link.detach()
    assert attached.attachments() == ()
    attached.attach([Attachment(wire.near, Hook.TCX)])
    assert attached.attachments() == (Attachment(wire.near, Hook.TCX),)


def test_nothing_to_attach_before_a_load(bpffs: Path, wire: Wire) -> None:
    with pytest.raises(NotLoadedError):
        PinnedDataPlane(bpffs / "unloaded").attach([Attachment(wire.near, Hook.TCX)])


@pytest.mark.compiles
def test_unload_ends_enforcement_and_leaves_nothing(lender: Lender, bpffs: Path, wire: Wire) -> None:
    plane = lender.lend(bpffs / "unloading")
    plane.attach([Attachment(wire.near, plane.preferred_hook())])
    Laboratory(plane).enforce()
    assert not connects(wire)
    plane.unload()
    assert connects(wire)
    assert not (bpffs / "unloading").exists()


def udp_ports_read(device: int) -> list[int]:
    """Read what waits on a tun device, and return the destination ports of IPv4 UDP packets."""
    os.set_blocking(device, False)
    ports = []
    with suppress(BlockingIOError):
        while True:
            packet = os.read(device, 2000)
            if packet[0] >> 4 == 4:
                ports.append(IP(packet)[UDP].dport)
    return ports


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.usefixtures("wire")
def test_device_without_link_header(lab: Laboratory, plane: PinnedDataPlane, hook: Hook) -> None:
    with tun("bare0") as device, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        assert link_of("bare0") is Link.NONE
        run("ip", "address", "add", "10.78.0.1/24", "dev", "bare0")
        run("ip", "link", "set", "bare0", "up")
        plane.attach([Attachment("bare0", hook)])
        lab.enforce(allow("10.78.0.1", "10.78.0.2", "udp/53"))
        sender.bind(("10.78.0.1", 5353))
        sender.settimeout(2)
        sender.sendto(b"refused", ("10.78.0.2", 54))
        sender.sendto(b"question", ("10.78.0.2", 53))
        reply = IP(src="10.78.0.2", dst="10.78.0.1") / UDP(sport=53, dport=5353) / b"answer"
        os.write(device, bytes(IP(src="10.78.0.2", dst="10.78.0.1") / UDP(sport=54, dport=5353) / b"refused"))
        os.write(device, bytes(reply))
        assert sender.recv(100) == b"answer"
        assert udp_ports_read(device) == [53]
        plane.detach(["bare0"])
    session = lab.session()
    assert (session.packets, session.octets) == ((1, 1), (28 + 8, 28 + 6))
    denied = [event for event in lab.events() if event.protocol == 17]
    assert [event.direction for event in denied] == [Direction.EGRESS, Direction.INGRESS]


def test_shared_maps_are_the_pinned_ones(attached: PinnedDataPlane) -> None:
    with Map.pinned(pin_dir(attached) / "maps" / "session4") as pinned:
        assert pinned.info.id == attached.map("session4").info.id
