"""No packet is judged by parts of two policies: alternating applies under traffic of both CPUs (I1)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import TABLE
from kernel.fault_matrix import Instance, request_for
from kernel.live_network import TwoHosts, two_hosts
from kernel.mixed_traffic import (
    BY_ADDRESS,
    BY_SERVICE,
    KEPT_IN_BURST,
    A,
    B,
    Receiver,
    Sender,
    addresses_of_markers,
    all_senders,
)
from kernel.sizing import SIZING
from long_runs import is_long

from microseg.abi import PolicyMap, Root
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.tcx import tcx_supported
from microseg.reconcile.dataplane import Hook

pytestmark = pytest.mark.only_tc
APPLIES = 1000 if is_long() else 200
PATIENCE_S = 20
HOOKS = [
    pytest.param(Hook.TCX, marks=pytest.mark.skipif(not tcx_supported(), reason="kernel without TCX")),
    Hook.CLSACT,
]


@pytest.fixture
def hosts(namespace: None) -> Iterator[TwoHosts]:  # noqa: ARG001  # laid in it
    with two_hosts() as made, addresses_of_markers(made):
        yield made


@pytest.fixture
def instance(plane: PinnedDataPlane, hosts: TwoHosts, tmp_path: Path) -> Iterator[Instance]:
    yield Instance(plane, tmp_path)
    plane.write_root(Root())
    plane.detach([hosts.near.device])


def wait_until(happened: Callable[[], bool], receiver: Receiver, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)
        receiver.drain()


def cpus() -> list[int]:
    return sorted(os.sched_getaffinity(0))[:2]


@pytest.mark.parametrize("hook", HOOKS)
def test_alternating_applies_lose_nothing_and_let_no_marker_through(
    instance: Instance, hosts: TwoHosts, hook: Hook, record_property: Callable[[str, str], None]
) -> None:
    requests = [request_for(text, (hosts.near.device,), hook=hook, sizing=SIZING) for text in (A, B)]
    instance.apply(requests[1])
    began = instance.plane.read_root().generation
    with Receiver(hosts) as receiver, ExitStack() as stack:
        know_each_other(hosts, receiver)
        senders = [stack.enter_context(Sender(hosts, cpu)) for cpu in cpus()]
        wait_until(lambda: receiver.kept > 100, receiver, "traffic")
        for number in range(APPLIES):
            instance.apply(requests[number % 2])
            receiver.drain()
        sent = sum(sender.stop() for sender in senders)
        wait_until(lambda: receiver.kept >= sent, receiver, "the last packets")
    assert instance.plane.read_root().generation == began + APPLIES
    assert receiver.markers == []
    assert receiver.kept == sent
    told = (
        f"{hook.value}: {APPLIES} applies, {sent} packets that both policies allow all arrived, no marker did"
    )
    record_property(TABLE, told)


def know_each_other(hosts: TwoHosts, receiver: Receiver) -> None:
    """Let the hosts find each other's hardware addresses, which takes the first packets their time."""
    burst(hosts, receiver)
    receiver.kept = 0


def burst(hosts: TwoHosts, receiver: Receiver) -> None:
    """Send one packet of each kind in each direction, and wait for those that are kept."""
    before = receiver.kept
    with ExitStack() as stack:
        for sender, _ in all_senders(hosts, stack):
            sender.send(b"x")
    wait_until(lambda: receiver.kept >= before + KEPT_IN_BURST, receiver, "a burst")


@pytest.mark.parametrize(
    ("maps", "ports"),
    [((PolicyMap.IPCACHE4, PolicyMap.IPCACHE6), {BY_ADDRESS}), ((PolicyMap.SERVICE,), set(BY_SERVICE))],
    ids=["addresses", "services"],
)
@pytest.mark.parametrize("texts", [(A, B), (B, A)], ids=["A", "B"])
def test_a_mixture_lets_a_marker_through(
    instance: Instance,
    hosts: TwoHosts,
    maps: tuple[PolicyMap, ...],
    ports: set[int],
    texts: tuple[str, str],
) -> None:
    """Put entries of one policy among those of the other, to see that the test above would tell."""
    for text in texts:
        instance.apply(request_for(text, (hosts.near.device,), sizing=SIZING))
    plane, live = instance.plane, instance.plane.read_root().slot
    for name in maps:
        theirs, ours = plane.read_map(1 - live, name).entries(), plane.read_map(live, name).entries()
        plane.write_entries(live, name, theirs, [key for key in ours if key not in theirs])
    with Receiver(hosts) as receiver:
        burst(hosts, receiver)
        wait_until(lambda: len(receiver.markers) >= 4, receiver, "markers")
    assert {int(marker.rpartition(" ")[2]) for marker in receiver.markers} <= ports
