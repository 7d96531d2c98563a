"""TCX (kernel 6.6 and later): programs on an interface as pinned links, swapped in place without a gap.

A link of ours goes first, so that no other program can let a packet through before it is judged; by returning
"next" it leaves the others their turn.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.abi_flow import Direction
from microseg.kernel.bpf import Attributes, Command, Descriptor, object_info

if TYPE_CHECKING:
    from pathlib import Path

_ATTACH_TYPES = {Direction.INGRESS: 46, Direction.EGRESS: 47}
"""BPF_TCX_INGRESS and BPF_TCX_EGRESS."""
_BEFORE = 1 << 3
"""BPF_F_BEFORE; relative to nothing: before all."""
_LINK_TYPE_TCX = 11


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """A TCX link: the program it runs and where; ifindex is 0 when the interface is gone."""

    program_id: int
    ifindex: int
    direction: Direction


class TcxLink(Descriptor):
    """A link by its descriptor; lives on while pinned."""

    @classmethod
    def create(cls, program_fd: int, ifindex: int, direction: Direction) -> TcxLink:
        """Attach a program before all others of the interface."""
        attributes = Attributes("4IIIQ", program_fd, ifindex, _ATTACH_TYPES[direction], _BEFORE, 0, 0, 0)
        operation = f"attach to interface {ifindex}, {direction.name.lower()}"
        return cls(attributes.call_or_raise(Command.LINK_CREATE, operation))

    def update(self, program_fd: int) -> None:
        """Swap the program; every packet sees either the old one or the new one."""
        attributes = Attributes("4I", self.fd, program_fd, 0, 0)
        attributes.call_or_raise(Command.LINK_UPDATE, "replace the program of a TCX link")

    def detach(self) -> None:
        """Take the program off the interface, whoever holds the link."""
        Attributes("I", self.fd).call_or_raise(Command.LINK_DETACH, "detach a TCX link")

    def info(self) -> LinkInfo:
        """Return what the link does."""
        raw = object_info(self.fd, 64, "read a link's information")
        type_, _, program_id, _, ifindex, attach_type = struct.unpack_from("=6I", raw)
        assert type_ == _LINK_TYPE_TCX, f"a link of type {type_} is pinned among ours"
        direction = Direction.INGRESS if attach_type == _ATTACH_TYPES[Direction.INGRESS] else Direction.EGRESS
        return LinkInfo(program_id, ifindex, direction)


def tcx_supported() -> bool:
    """Say whether the kernel has TCX: asked about interface 0, an older one doesn't know the attach type."""
    attributes = Attributes("4IQI", 0, _ATTACH_TYPES[Direction.INGRESS], 0, 0, 0, 0)
    _, number = attributes.call(Command.PROG_QUERY)
    return number == errno.ENODEV


def link_path(links_dir: Path, ifindex: int, direction: Direction) -> Path:
    """Return where the link of an interface is pinned (names in a bpffs have no dots, interfaces may)."""
    return links_dir / f"{ifindex}-{direction.name.lower()}"
