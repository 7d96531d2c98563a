"""TCX (kernel 6.6 and later): programs on an interface as links, in an order.

A link of ours goes first, so that no other program can let a packet through before it is judged; by returning
"next" it leaves the others their turn.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from microseg.abi_flow import Direction
from microseg.kernel.bpf import Attributes, Command
from microseg.kernel.links import ATTACH_TYPES, Link
from microseg.reconcile.dataplane import Hook

if TYPE_CHECKING:
    from collections.abc import Mapping

_BEFORE = 1 << 3
"""BPF_F_BEFORE; relative to nothing: before all."""


def create_tcx_link(program_fd: int, ifindex: int, direction: Direction) -> Link:
    """Attach a program before all others of the interface."""
    return Link.create(program_fd, ifindex, Hook.TCX, direction, _BEFORE)


def tcx_supported() -> bool:
    """Say whether the kernel has TCX: asked about interface 0, an older one doesn't know the attach type."""
    attach_type = ATTACH_TYPES[Hook.TCX, Direction.INGRESS]
    attributes = Attributes("4IQI", 0, attach_type, 0, 0, 0, 0)
    _, number = attributes.call(Command.PROG_QUERY)
    return number == errno.ENODEV


def places_of(hook: Hook) -> Mapping[Direction, Hook]:
    """Return what a hook attaches where: XDP sees ingress only, so a TC program goes beside it."""
    if hook is not Hook.XDP:
        return dict.fromkeys(Direction, hook)
    beside = Hook.TCX if tcx_supported() else Hook.CLSACT
    return {Direction.INGRESS: Hook.XDP, Direction.EGRESS: beside}
