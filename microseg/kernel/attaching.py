"""Putting programs on interfaces and taking them off, with what it takes to put everything back."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, assert_never

from microseg.abi_flow import Direction
from microseg.abi_flow import Link as FrameStart
from microseg.kernel import tc
from microseg.kernel.bpf import Descriptor, program_by_id
from microseg.kernel.errors import DeviceGoneError, NotFoundError
from microseg.kernel.interfaces import interface_index, interface_name, link_of
from microseg.kernel.links import ATTACH_TYPES, Link, LinkInfo, link_path, living_link, remove_link
from microseg.kernel.programs import TC, XDP
from microseg.kernel.tcx import create_tcx_link, places_of
from microseg.kernel.xdp import create_xdp_link
from microseg.reconcile.dataplane import Attachment, Hook, KernelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

_SUFFIX = {FrameStart.ETHERNET: "", FrameStart.NONE: "_l3"}


@dataclass(frozen=True, slots=True)
class Attached:
    """A program of ours on an interface."""

    ifindex: int
    direction: Direction
    hook: Hook
    program_id: int


class Attacher:
    """Attaches the programs of one instance, which is told from others by its pin directory.

    links/IFINDEX-DIRECTION are the pinned TCX links and links/IFINDEX-xdp the XDP links; an empty folder
    clsact/IFINDEX says that the qdisc there is ours; clsact filters carry the pin directory in their name.
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
                suffix = _SUFFIX[link_of(attachment.interface)]
                ifindex = interface_index(attachment.interface)
                for direction, hook in places_of(attachment.hook).items():
                    name = f"{direction.name.lower()}{suffix}"
                    unit = XDP if hook is Hook.XDP else TC
                    with Descriptor.pinned(unit.folder(programs) / name) as program:
                        self._attach_one(put_back, hook, ifindex, direction, program.fd)
            put_back.pop_all()
        for attachment in wanted:
            self._detach_where(interface_index(attachment.interface), keep=places_of(attachment.hook))

    def detach(self, ifindex: int) -> None:
        """Take our programs off an interface, whichever hook they are on; others' stay."""
        self._detach_where(ifindex, keep={})

    def attached(self) -> list[Attached]:
        """Return every program of ours on an interface of this network namespace."""
        found = self._on_links() + self._on_clsact()
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
                create = partial(create_tcx_link, program_fd, ifindex, direction)
            case Hook.XDP:
                create = partial(create_xdp_link, program_fd, ifindex)
            case Hook.CLSACT:
                self._attach_clsact(put_back, ifindex, direction, program_fd)
                return
            case _:
                assert_never(hook)
        self._attach_link(put_back, link_path(self._links, ifindex, hook, direction), program_fd, create)

    def _attach_link(
        self, put_back: ExitStack, path: Path, program_fd: int, create: Callable[[], Link]
    ) -> None:
        self._links.mkdir(exist_ok=True)
        existing = living_link(path)
        if existing is not None:
            before = program_by_id(existing.info().program_id)
            existing.update(program_fd)
            put_back.callback(_unless_gone, lambda: existing.update(before.fd))
            return
        path.unlink(missing_ok=True)
        with create() as link:
            link.pin(path)
        put_back.callback(remove_link, path)

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
            put_back.callback(_unless_gone, tc.delete_filter, ifindex, direction)
            return
        before = program_by_id(existing.program_id)
        tc.replace_filter(ifindex, direction, self._name, program_fd)
        put_back.callback(_unless_gone, lambda: tc.replace_filter(ifindex, direction, self._name, before.fd))

    def _detach_where(self, ifindex: int, keep: Mapping[Direction, Hook]) -> None:
        for hook, direction in ATTACH_TYPES:
            if keep.get(direction) is not hook:
                remove_link(link_path(self._links, ifindex, hook, direction))
        for direction in Direction:
            found = tc.find_filter(ifindex, direction)
            if keep.get(direction) is not Hook.CLSACT and found is not None and found.name == self._name:
                tc.delete_filter(ifindex, direction)
        if Hook.CLSACT not in keep.values():
            self._remove_own_qdisc(ifindex)

    def _remove_own_qdisc(self, ifindex: int) -> None:
        marker = self._qdiscs / str(ifindex)
        if marker.is_dir():
            _unless_gone(tc.remove_clsact_if_empty, ifindex)
            marker.rmdir()

    def _on_links(self) -> list[Attached]:
        return [
            Attached(info.ifindex, info.direction, info.hook, info.program_id)
            for info in self._links_alive()
            if interface_name(info.ifindex) is not None
        ]

    def _links_alive(self) -> list[LinkInfo]:
        infos = []
        for path in sorted(self._links.iterdir()) if self._links.is_dir() else ():
            with Link.pinned(path) as link:
                infos.append(link.info())
        return [info for info in infos if info.ifindex]

    def _on_clsact(self) -> list[Attached]:
        filters = (tc.find_filter(i, d) for i in tc.interfaces_with_clsact() for d in Direction)
        return [
            Attached(found.ifindex, found.direction, Hook.CLSACT, found.program_id)
            for found in filters
            if found is not None and found.name == self._name
        ]


def _unless_gone(take_back: Callable[..., None], *arguments: object) -> None:
    """Take something back that may have gone already, by itself or with its interface."""
    with suppress(DeviceGoneError, NotFoundError):
        take_back(*arguments)


def hook_of(found: Iterable[Attached]) -> Hook | None:
    """Return by which hook an interface is attached, both directions; None when one is missing."""
    there = {(one.direction, one.hook) for one in found}
    for hook in Hook:
        if hook is not Hook.XDP and there >= {(direction, hook) for direction in Direction}:
            return hook
    directions = {direction for direction, _ in there}
    return Hook.XDP if (Direction.INGRESS, Hook.XDP) in there and len(directions) > 1 else None
