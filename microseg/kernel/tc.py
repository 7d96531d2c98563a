"""clsact filters, for kernels without TCX: direct-action BPF filters at our own priority and handle.

Replacing at a fixed priority and handle swaps the program without a gap; without the handle each call would
add another filter. Nobody else's filter is touched, and the qdisc only goes when we made it and it is empty
(I7). The only importer of pyroute2.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from microseg.abi_flow import Direction
from microseg.kernel.errors import ExistsError, NotFoundError, call_error

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIORITY = 3
"""Early, so that no other filter can let a packet through before it is judged."""
HANDLE = 0x6D73

_PARENTS = {Direction.INGRESS: 0xFFFFFFF2, Direction.EGRESS: 0xFFFFFFF3}
_PROGRAM_ID = 11
"""TCA_BPF_ID, which pyroute2 doesn't decode."""
_ATTRIBUTE_TYPE = 0x3FFF


@dataclass(frozen=True, slots=True)
class Filter:
    """A BPF filter of ours.

    Attributes:
        ifindex: interface.
        direction: ingress or egress.
        name: as given when it was attached.
        program_id: the program it runs.

    """

    ifindex: int
    direction: Direction
    name: str
    program_id: int


def add_clsact(ifindex: int) -> bool:
    """Make the qdisc; False when the interface has it already."""
    try:
        with _calling(f"add clsact to interface {ifindex}") as ip:
            ip.tc("add", "clsact", ifindex)
    except ExistsError:
        return False
    return True


def remove_clsact_if_empty(ifindex: int) -> None:
    """Remove the qdisc unless somebody has a filter there."""
    with _calling(f"remove clsact from interface {ifindex}") as ip:
        if not any(list(ip.get_filters(index=ifindex, parent=parent)) for parent in _PARENTS.values()):
            ip.tc("del", "clsact", ifindex)


def replace_filter(ifindex: int, direction: Direction, name: str, program_fd: int) -> None:
    """Attach a program at our priority and handle, or swap the one that is there."""
    with _calling(f"attach to interface {ifindex}, {direction.name.lower()}") as ip:
        ip.tc(
            "replace-filter",
            "bpf",
            ifindex,
            handle=HANDLE,
            parent=_PARENTS[direction],
            prio=PRIORITY,
            fd=program_fd,
            name=name,
            direct_action=True,
        )


def delete_filter(ifindex: int, direction: Direction) -> None:
    """Delete the filter at our priority and handle; raises NotFoundError."""
    with _calling(f"detach from interface {ifindex}, {direction.name.lower()}") as ip:
        ip.tc("del-filter", "bpf", ifindex, handle=HANDLE, parent=_PARENTS[direction], prio=PRIORITY)


def find_filter(ifindex: int, direction: Direction) -> Filter | None:
    """Return the filter at our priority and handle, whoever made it."""
    try:
        with _calling(f"list the filters of interface {ifindex}") as ip:
            messages = list(ip.get_filters(index=ifindex, parent=_PARENTS[direction]))
    except NotFoundError:
        return None
    for message in messages:
        options = message.get_attr("TCA_OPTIONS")
        if message["handle"] == HANDLE and message["info"] >> 16 == PRIORITY and options is not None:
            name = options.get_attr("TCA_BPF_NAME") or ""
            return Filter(ifindex, direction, name, _program_id(options))
    return None


def filters_before(ifindex: int, direction: Direction) -> list[str]:
    """Return the filters that are asked before ours, in words."""
    with _calling(f"list the filters of interface {ifindex}") as ip:
        messages = list(ip.get_filters(index=ifindex, parent=_PARENTS[direction]))
    found = {
        (message["info"] >> 16, message.get_attr("TCA_KIND"))
        for message in messages
        if message["handle"] and 0 < message["info"] >> 16 < PRIORITY
    }
    return [f"a {kind} filter of preference {preference}" for preference, kind in sorted(found)]


def interfaces_with_clsact() -> list[int]:
    """Return the indices of the interfaces that have the qdisc."""
    with _calling("list the queueing disciplines") as ip:
        return [q["index"] for q in ip.get_qdiscs() if q.get_attr("TCA_KIND") == "clsact"]


@contextmanager
def _calling(operation: str) -> Iterator[IPRoute]:
    try:
        with IPRoute() as ip:
            yield ip
    except NetlinkError as error:
        raise call_error(operation, error.code) from error


def _program_id(options: Any) -> int:  # noqa: ANN401  # pyroute2 has no types
    for name, attribute in options["attrs"]:
        if name == "UNKNOWN":
            raw = bytes(attribute.data[attribute.offset : attribute.offset + attribute.length])
            _, type_, value = struct.unpack_from("=HHI", raw)
            if type_ & _ATTRIBUTE_TYPE == _PROGRAM_ID:
                return int(value)
    return 0
