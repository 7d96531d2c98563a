"""What becomes of the maps when programs are loaded anew: shared, made larger and filled, or begun anew."""

from __future__ import annotations

import ctypes
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from microseg.abi import SLOTS, PolicyMap
from microseg.kernel.bpf import Attributes, Command, address_of, object_info, program_by_id
from microseg.kernel.errors import IncompatibleMapError, LoadError, NotFoundError
from microseg.kernel.maps import Map
from microseg.kernel.openings import OPENINGS, carry
from microseg.kernel.shapes import MapShape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

POLICY = (*(name.in_slot(slot) for name in PolicyMap for slot in range(SLOTS)), "slot_config", "policy_root")
"""Maps that decide about packets: without what is in them no policy is in force."""

SESSIONS = ("session4", "session6", *OPENINGS)
"""Maps that programs write to at any time."""

CACHES = ("flow4", "flow6")
"""Maps whose entries have no meaning in one of another size."""

_MAPS_OF_PROGRAM = 64
"""Maps that a program of ours may use at most."""


@dataclass(frozen=True, slots=True)
class Succession:
    """What new programs take over from the maps there are.

    Attributes:
        shapes: every map as it will be.
        shared: maps that stay the ones they are.
        enlarged: maps that are made anew, larger, and filled with what is in the old ones.
        lost: maps that are made anew and begin empty, because their layout is another one now.

    """

    shapes: Mapping[str, MapShape]
    shared: tuple[str, ...] = ()
    enlarged: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def succession(present: Mapping[str, MapShape], wanted: Mapping[str, MapShape]) -> Succession:
    """Decide for each map; one that is larger than wanted stays so, but for caches, which begin anew.

    Raises:
        IncompatibleMapError: the layout of a map that decides about packets is another one.

    """
    shapes = dict(wanted)
    shared: list[str] = []
    enlarged: list[str] = []
    lost: list[str] = []
    for name, shape in wanted.items():
        before = present.get(name)
        if before is None:
            continue
        if name in CACHES and shape != before:
            continue
        entries = max(before.max_entries, shape.max_entries)
        if shape.layout != before.layout:
            lost.append(name)
            continue
        shapes[name] = replace(shape, max_entries=entries)
        (shared if entries == before.max_entries else enlarged).append(name)
    broken = [name for name in lost if name in POLICY]
    if broken:
        name = broken[0]
        raise IncompatibleMapError(
            f"the pinned map {name} is {present[name]}; needed: {wanted[name]}",
            advice="microseg detach (everything passes from then on), then microseg apply",
        )
    return Succession(shapes, tuple(shared), tuple(enlarged), tuple(lost))


def fill(before: Map, after: Map) -> None:
    """Copy all entries; raises LoadError when a policy map holds something else afterwards (I2)."""
    if before.info.name in OPENINGS:
        carry(before, after)
        return
    entries = before.entries()
    after.update_many(entries)
    if before.info.name in POLICY and after.entries() != entries:
        raise LoadError(f"what was copied to the larger map {before.info.name} reads back differently")


def follow_sessions(earlier: Path, current: Path) -> None:
    """Take over the sessions that began between the copy and the exchange of the programs."""
    for name in SESSIONS:
        with (
            suppress(NotFoundError),
            Map.pinned(earlier / name) as before,
            Map.pinned(current / name) as after,
        ):
            if (
                before.info.id == after.info.id
                or MapShape.of(before.info).layout != MapShape.of(after.info).layout
            ):
                continue
            if name in OPENINGS:
                carry(before, after)
            else:
                present = after.entries()
                after.update_many({key: it for key, it in before.entries().items() if key not in present})


def maps_reached(program_id: int) -> dict[str, Map]:
    """Return the maps by name that a program and those it jumps to use, whether they are pinned or not."""
    found = _maps_of(program_id)
    jumps = found["jumps"].entries() if "jumps" in found else {}
    for value in jumps.values():
        found |= _maps_of(int.from_bytes(value, sys.byteorder))
    return found


def _maps_of(program_id: int) -> dict[str, Map]:
    ids = ctypes.create_string_buffer(4 * _MAPS_OF_PROGRAM)
    asked = struct.pack("=52xIQ", _MAPS_OF_PROGRAM, address_of(ids))
    with program_by_id(program_id) as program:
        raw = object_info(program.fd, 128, "read the maps of a program", asked)
    (count,) = struct.unpack_from("=I", raw, 52)
    found = {}
    for (map_id,) in struct.iter_unpack("=I", ids.raw[: 4 * count]):
        opened = Map(Attributes("I", map_id).call_or_raise(Command.MAP_GET_FD_BY_ID, f"open map {map_id}"))
        found[opened.info.name] = opened
    return found
