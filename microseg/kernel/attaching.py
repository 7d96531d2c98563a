"""Putting programs on interfaces and taking them off, with what it takes to put everything back."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from microseg.abi_flow import Direction, Link
from microseg.kernel import tc
from microseg.kernel.bpf import Descriptor, program_by_id
from microseg.kernel.errors import NotFoundError
from microseg.kernel.interfaces import interface_index, interface_name, link_of
from microseg.kernel.tcx import LinkInfo, TcxLink, link_path
from microseg.reconcile.dataplane import Attachment, Hook, KernelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PINS = {
    (Direction.INGRESS, Link.ETHERNET): "ingress",
    (Direction.EGRESS, Link.ETHERNET): "egress",
    (Direction.INGRESS, Link.NONE): "ingress_l3",
    (Direction.EGRESS, Link.NONE): "egress_l3",
}


@dataclass(frozen=True, slots=True)
class Attached:
    """A program of ours on an interface."""

    ifindex: int
    direction: Direction
    hook: Hook
    program_id: int


class Attacher:
    """Attaches the programs of one instance, which is told from others by its pin directory.

    links/IFINDEX-DIRECTION are the pinned TCX links; an empty folder clsact/IFINDEX says that the qdisc there
    is ours; clsact filters carry the pin directory in their name.
    """

    def __init__(self, pin_dir: Path) -> None:
        self._pin_dir = pin_dir
        self._links = pin_dir / "links"
        self._qdiscs = pin_dir / "clsact"
        self._name = f"microseg:{pin_dir}"

    def attach(self, wanted: Sequence[Attachment], programs: Path) -> None:
        """Attach the programs pinned in a folder, both directions each; a failure puts everything back."""
        with ExitStack() as put_back:
            for attachment in wanted:
                link = link_of(attachment.interface)
                ifindex = interface_index(attachment.interface)
                for direction in Direction:
                    with Descriptor.pinned(programs / _PINS[direction, link]) as program:
                        self._attach_one(put_back, attachment.hook, ifindex, direction, program.fd)
            put_back.pop_all()
        for attachment in wanted:
            self._detach_where(interface_index(attachment.interface), other_than=attachment.hook)

    def detach(self, ifindex: int) -> None:
        """Take our programs off an interface, whichever hook they are on; others' stay."""
        self._detach_where(ifindex, other_than=None)

    def attached(self) -> list[Attached]:
        """Return every program of ours on an interface of this network namespace."""
        found = self._on_tcx() + self._on_clsact()
        return sorted(found, key=lambda one: (one.ifindex, one.hook.value, one.direction))

    def running_programs(self) -> set[int]:
        """Return the ids of the programs that are attached, pinned links of other network namespaces too."""
        linked = {info.program_id for info in self._links_alive()}
        return linked | {found.program_id for found in self._on_clsact()}

    def _attach_one(
        self, put_back: ExitStack, hook: Hook, ifindex: int, direction: Direction, program_fd: int
    ) -> None:
        match hook:
            case Hook.TCX:
                self._attach_tcx(put_back, ifindex, direction, program_fd)
            case Hook.CLSACT:
                self._attach_clsact(put_back, ifindex, direction, program_fd)
            case Hook.XDP:
                raise KernelError("the xdp hook is not there yet", advice="use --hook tcx or --hook clsact")

    def _attach_tcx(self, put_back: ExitStack, ifindex: int, direction: Direction, program_fd: int) -> None:
        path = link_path(self._links, ifindex, direction)
        self._links.mkdir(exist_ok=True)
        existing = _living_link(path)
        if existing is not None:
            before = program_by_id(existing.info().program_id)
            existing.update(program_fd)
            put_back.callback(lambda: existing.update(before.fd))
            return
        path.unlink(missing_ok=True)
        with TcxLink.create(program_fd, ifindex, direction) as link:
            link.pin(path)
        put_back.callback(partial(_remove_link, path))

    def _attach_clsact(
        self, put_back: ExitStack, ifindex: int, direction: Direction, program_fd: int
    ) -> None:
        if tc.add_clsact(ifindex):
            self._qdiscs.mkdir(exist_ok=True)
            (self._qdiscs / str(ifindex)).mkdir(exist_ok=True)
            put_back.callback(self._remove_own_qdisc, ifindex)
        existing = tc.find_filter(ifindex, direction)
        if existing is not None and existing.name != self._name:
            raise KernelError(
                f"interface {interface_name(ifindex)} has a filter {existing.name!r} at our priority "
                f"{tc.PRIORITY} and handle {tc.HANDLE:#x}",
                advice="remove it with `tc filter del`, or use --hook tcx",
            )
        if existing is None:
            tc.replace_filter(ifindex, direction, self._name, program_fd)
            put_back.callback(tc.delete_filter, ifindex, direction)
            return
        before = program_by_id(existing.program_id)
        tc.replace_filter(ifindex, direction, self._name, program_fd)
        put_back.callback(lambda: tc.replace_filter(ifindex, direction, self._name, before.fd))

    def _detach_where(self, ifindex: int, other_than: Hook | None) -> None:
        if other_than is not Hook.TCX:
            for direction in Direction:
                _remove_link(link_path(self._links, ifindex, direction))
        if other_than is not Hook.CLSACT:
            for direction in Direction:
                found = tc.find_filter(ifindex, direction)
                if found is not None and found.name == self._name:
                    tc.delete_filter(ifindex, direction)
            self._remove_own_qdisc(ifindex)

    def _remove_own_qdisc(self, ifindex: int) -> None:
        marker = self._qdiscs / str(ifindex)
        if marker.is_dir():
            tc.remove_clsact_if_empty(ifindex)
            marker.rmdir()

    def _on_tcx(self) -> list[Attached]:
        return [
            Attached(info.ifindex, info.direction, Hook.TCX, info.program_id)
            for info in self._links_alive()
            if interface_name(info.ifindex) is not None
        ]

    def _links_alive(self) -> list[LinkInfo]:
        infos = []
        for path in sorted(self._links.iterdir()) if self._links.is_dir() else ():
            with TcxLink.pinned(path) as link:
                infos.append(link.info())
        return [info for info in infos if info.ifindex]

    def _on_clsact(self) -> list[Attached]:
        filters = (tc.find_filter(i, d) for i in tc.interfaces_with_clsact() for d in Direction)
        return [
            Attached(found.ifindex, found.direction, Hook.CLSACT, found.program_id)
            for found in filters
            if found is not None and found.name == self._name
        ]


def _living_link(path: Path) -> TcxLink | None:
    """Return the pinned link unless its interface is gone (the index may be another interface's by now)."""
    try:
        link = TcxLink.pinned(path)
    except NotFoundError:
        return None
    return link if link.info().ifindex else None


def _remove_link(path: Path) -> None:
    try:
        with TcxLink.pinned(path) as link:
            if link.info().ifindex:
                link.detach()
    except NotFoundError:
        return
    path.unlink()
