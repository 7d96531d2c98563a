"""BPF links: a program on an interface as an object of its own, pinned, swapped in place without a gap."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.abi_flow import Direction
from microseg.kernel.bpf import Attributes, Command, Descriptor, object_info
from microseg.kernel.errors import NotFoundError
from microseg.reconcile.dataplane import Hook

if TYPE_CHECKING:
    from pathlib import Path

_XDP, _TCX_INGRESS, _TCX_EGRESS = 37, 46, 47
"""enum bpf_attach_type."""
_LINK_XDP, _LINK_TCX = 6, 11
"""enum bpf_link_type."""

ATTACH_TYPES = {
    (Hook.XDP, Direction.INGRESS): _XDP,
    (Hook.TCX, Direction.INGRESS): _TCX_INGRESS,
    (Hook.TCX, Direction.EGRESS): _TCX_EGRESS,
}
"""Where a link of ours can be."""

_PLACES = {
    (_LINK_XDP, 0): (Hook.XDP, Direction.INGRESS),  # an XDP link doesn't tell its attach type
    (_LINK_TCX, _TCX_INGRESS): (Hook.TCX, Direction.INGRESS),
    (_LINK_TCX, _TCX_EGRESS): (Hook.TCX, Direction.EGRESS),
}


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """A link: the program it runs and where; ifindex is 0 when the interface is gone."""

    hook: Hook
    direction: Direction
    program_id: int
    ifindex: int


class Link(Descriptor):
    """A link by its descriptor; lives on while pinned."""

    @classmethod
    def create(cls, program_fd: int, ifindex: int, hook: Hook, direction: Direction, flags: int) -> Link:
        """Attach a program; flags are those of the hook."""
        attributes = Attributes("4IIIQ", program_fd, ifindex, ATTACH_TYPES[hook, direction], flags, 0, 0, 0)
        operation = f"attach to interface {ifindex}, {hook.value} {direction.name.lower()}"
        return cls(attributes.call_or_raise(Command.LINK_CREATE, operation))

    def update(self, program_fd: int) -> None:
        """Swap the program; every packet sees either the old one or the new one."""
        attributes = Attributes("4I", self.fd, program_fd, 0, 0)
        attributes.call_or_raise(Command.LINK_UPDATE, "replace the program of a link")

    def detach(self) -> None:
        """Take the program off the interface, whoever holds the link."""
        Attributes("I", self.fd).call_or_raise(Command.LINK_DETACH, "detach a link")

    def info(self) -> LinkInfo:
        """Return what the link does."""
        raw = object_info(self.fd, 64, "read a link's information")
        type_, _, program_id, _, ifindex, attach_type = struct.unpack_from("=6I", raw)
        assert (type_, attach_type) in _PLACES, f"a link of type {type_} is pinned among ours"
        return LinkInfo(*_PLACES[type_, attach_type], program_id, ifindex)


def link_path(links_dir: Path, ifindex: int, hook: Hook, direction: Direction) -> Path:
    """Return where the link of an interface is pinned (names in a bpffs have no dots, interfaces may)."""
    where = hook.value if hook is Hook.XDP else direction.name.lower()
    return links_dir / f"{ifindex}-{where}"


def living_link(path: Path) -> Link | None:
    """Return a pinned link unless its interface is gone (the index may be another interface's by now)."""
    try:
        link = Link.pinned(path)
    except NotFoundError:
        return None
    return link if link.info().ifindex else None


def remove_link(path: Path) -> None:
    """Detach a pinned link and unpin it; harmless when there is none."""
    try:
        with Link.pinned(path) as link:
            if link.info().ifindex:
                link.detach()
    except NotFoundError:
        return
    path.unlink()
