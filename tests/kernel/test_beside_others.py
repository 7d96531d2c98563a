"""Programs of somebody else on the same interface: they run for what passes ours, and for nothing else."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import pytest
from kernel.laboratory import Laboratory, allow, run
from kernel.test_attaching import PORT, Wire, add_their_filter, attached, connects, wire

from microseg.abi_flow import Direction, Stats
from microseg.kernel.bpf import Attributes, Command, Descriptor
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.interfaces import interface_index
from microseg.kernel.links import Link
from microseg.kernel.tcx import tcx_supported
from microseg.reconcile.dataplane import Attachment, Hook

pytestmark = pytest.mark.only_tc  # attaches by itself
__all__ = ["attached", "wire"]

PATIENCE_S = 10
ENABLE_STATS = 32
"""A command of bpf(2): runs are counted while its descriptor is open."""
needs_tcx = pytest.mark.skipif(not tcx_supported(), reason="kernel without TCX")
PAIRS = [
    pytest.param(Hook.TCX, Hook.TCX, marks=needs_tcx),
    pytest.param(Hook.TCX, Hook.CLSACT, marks=needs_tcx),
    pytest.param(Hook.CLSACT, Hook.CLSACT),
    pytest.param(Hook.XDP, Hook.TCX, marks=needs_tcx),
    pytest.param(Hook.XDP, Hook.CLSACT),
]


@pytest.fixture
def counting() -> Iterator[None]:
    """Have the kernel count how often each program runs."""
    fd, number = Attributes("I", 0).call(cast("Command", ENABLE_STATS))
    assert fd >= 0, os.strerror(number)
    yield
    os.close(fd)


@contextmanager
def theirs(plane: PinnedDataPlane, wire: Wire, hook: Hook) -> Iterator[Descriptor]:
    """Attach a program both ways as somebody else would: it borrows one that lets everything pass."""
    with plane.program("clock") as program, ExitStack() as stack:
        for direction in Direction:
            if hook is Hook.CLSACT:
                add_their_filter(plane, wire, direction.name.lower())
            else:
                index = interface_index(wire.near)
                stack.enter_context(Link.create(program.fd, index, Hook.TCX, direction, 0))
        yield program


def runs(program: Descriptor) -> int:
    lines = Path(f"/proc/self/fdinfo/{program.fd}").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("run_cnt:")))


def passes(stats: Stats) -> int:
    return stats.packets - stats.dropped


def ping_from_far(wire: Wire, count: int = 3) -> int:
    """Send what no rule allows, and return how many packets that were."""
    words = ["ip", "netns", "exec", wire.far_namespace, "ping", "-c", str(count), "-i", "0.01", "-W", "0.2"]
    assert subprocess.run([*words, wire.near_address], check=False, capture_output=True).returncode == 1
    return count


def silence(wire: Wire) -> None:
    """Have both ends say nothing by themselves."""
    off = ("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1")
    run(off)
    run("ip", "netns", "exec", wire.far_namespace, off)


def come_to(expected: int, program: Descriptor) -> int:
    """Wait for so many runs, since the last packets of a connection may be on their way; returns how many."""
    deadline = time.monotonic() + PATIENCE_S
    while runs(program) != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    return runs(program)


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize(("ours", "their_hook"), PAIRS)
def test_theirs_run_for_what_passes(
    lab: Laboratory, attached: PinnedDataPlane, wire: Wire, ours: Hook, their_hook: Hook
) -> None:
    silence(wire)
    if their_hook is Hook.CLSACT:
        run("tc", "qdisc", "add", "dev", wire.near, "clsact")
    with theirs(attached, wire, their_hook) as program:
        attached.attach([Attachment(wire.near, ours)])
        lab.enforce(allow("10.77.0.1", "10.77.0.2", f"tcp/{PORT}"))
        before, ran = lab.stats(), runs(program)
        assert connects(wire)
        refused = ping_from_far(wire)
        after = lab.stats()
        passed = passes(after) - passes(before)
        assert come_to(ran + passed, program) == ran + passed
        assert (passed >= 8, after.dropped - before.dropped) == (True, refused)
        attached.detach([wire.near])
        assert connects(wire)
        assert runs(program) >= ran + passed + 8
