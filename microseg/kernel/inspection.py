"""What is wrong with pins, programs and filters, seen from what the kernel says of them."""

from __future__ import annotations

import ctypes
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from microseg.kernel import tc
from microseg.kernel.bpf import Attributes, Command, Descriptor, address_of, program_info
from microseg.kernel.errors import NotFoundError
from microseg.kernel.interfaces import interface_name
from microseg.kernel.links import ATTACH_TYPES
from microseg.kernel.loads import MAPS, program_ids
from microseg.kernel.maps import Map
from microseg.kernel.programs import TC
from microseg.kernel.shapes import map_shapes
from microseg.kernel.tcx import tcx_supported
from microseg.reconcile.dataplane import Flaw, Hook, Irregularity, Sizing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from microseg.abi_flow import Direction
    from microseg.kernel.attaching import Attached
    from microseg.kernel.loads import Loads

_PROGRAMS = 64
"""Programs of one place that are looked at."""


def all_of(
    loads: Loads, attached: Sequence[Attached], recorded: Mapping[str, str]
) -> tuple[Irregularity, ...]:
    """Return everything that is wrong with a load and where it is attached."""
    folder = loads.in_use()
    if not folder.is_dir():
        lost = Irregularity(Flaw.PIN_MISSING, loads.programs.name, "what is attached goes on without it")
        return (lost,) if attached else ()
    return (
        *missing_pins(folder),
        *altered_programs(folder, _tags(folder), recorded),
        *replaced_filters(folder, attached),
        *shadowed_filters(attached),
    )


def missing_pins(folder: Path) -> Iterator[Irregularity]:
    """Yield what should be pinned for a load and isn't."""
    wanted = [*TC.functions(), "jumps", *(f"{MAPS}/{name}" for name in map_shapes(Sizing()))]
    for name in wanted:
        if not (folder / name).exists():
            yield Irregularity(Flaw.PIN_MISSING, name, "what is attached goes on without it")


def altered_programs(
    folder: Path, tags: Mapping[str, str], recorded: Mapping[str, str]
) -> Iterator[Irregularity]:
    """Yield programs that are not those that were loaded, and jumps that lead elsewhere."""
    for name, tag in tags.items():
        if name in recorded and recorded[name] != tag:
            yield Irregularity(Flaw.PROGRAM, name, f"has the tag {tag}, loaded was {recorded[name]}")
    try:
        jumps = Map.pinned(folder / "jumps")
    except NotFoundError:
        return
    with jumps:
        found = jumps.entries()
    for index, name in enumerate(TC.jumps):
        leads_to = found.get(index.to_bytes(4, sys.byteorder))
        if name in tags and leads_to != _id_of(folder / name).to_bytes(4, sys.byteorder):
            yield Irregularity(Flaw.PROGRAM, name, "is not what the programs jump to")


def replaced_filters(folder: Path, attached: Sequence[Attached]) -> Iterator[Irregularity]:
    """Yield our places where another program than the loaded one runs."""
    current = program_ids(folder)
    for one in attached:
        name = interface_name(one.ifindex)
        if name and one.program_id not in current:
            where = f"{one.direction.name.lower()}, {one.hook.value}"
            yield Irregularity(Flaw.FILTER_REPLACED, name, f"{where}: program {one.program_id} runs there")


def shadowed_filters(attached: Sequence[Attached]) -> Iterator[Irregularity]:
    """Yield what others run before ours, and could let packets pass by it."""
    for one in attached:
        name = interface_name(one.ifindex)
        if name is None or one.hook is Hook.XDP:
            continue
        for what in _before(one):
            detail = f"{one.direction.name.lower()}: {what} comes before ours"
            yield Irregularity(Flaw.FILTER_SHADOWED, name, detail)


def _before(one: Attached) -> list[str]:
    in_order = _tcx_programs(one.ifindex, one.direction) if tcx_supported() else []
    if one.hook is Hook.CLSACT:
        found = tc.filters_before(one.ifindex, one.direction)
        return [f"program {number} (tcx)" for number in in_order] + found
    if one.program_id not in in_order:
        return []
    return [f"program {number} (tcx)" for number in in_order[: in_order.index(one.program_id)]]


def _tcx_programs(ifindex: int, direction: Direction) -> list[int]:
    """Return the ids of the programs of a TCX place in the order in which they run."""
    ids = ctypes.create_string_buffer(4 * _PROGRAMS)
    attach_type = ATTACH_TYPES[Hook.TCX, direction]
    asked = Attributes("4IQI", ifindex, attach_type, 0, 0, address_of(ids), _PROGRAMS)
    asked.call_or_raise(Command.PROG_QUERY, f"list the programs of interface {ifindex}")
    return [number for (number,) in struct.iter_unpack("=I", ids.raw[: 4 * asked.word(24)])]


def _tags(folder: Path) -> dict[str, str]:
    tags = {}
    for name in TC.functions():
        with suppress(NotFoundError), Descriptor.pinned(folder / name) as program:
            tags[name] = program_info(program.fd).tag
    return tags


def _id_of(path: Path) -> int:
    with Descriptor.pinned(path) as program:
        return program_info(program.fd).id
