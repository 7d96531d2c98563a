"""Filling the standby slot, and making sure that it was filled (I2)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from microseg.abi import NO_DIGEST, PolicyMap, SlotConfig
from microseg.reconcile.errors import VerifyError
from microseg.reconcile.observed import read_config
from microseg.reconcile.plan import differences
from microseg.reconcile.readback import Readings
from microseg.tables import differing

if TYPE_CHECKING:
    from collections.abc import Callable

    from microseg.abi import Entries, SlotContents
    from microseg.reconcile.dataplane import DataPlane
    from microseg.reconcile.plan import Change


LARGEST = PolicyMap.POLICY
"""The map that takes the kernel about as long as the others together."""


def _nothing() -> None:
    pass


def stage(plane: DataPlane, slot: int, before: SlotContents, contents: SlotContents, generation: int) -> int:
    """Make the standby slot hold these contents and return how many entries were written or deleted.

    The slot is marked incomplete first, so that nobody goes back to a half-filled one.

    Args:
        plane: the kernel.
        slot: the standby slot.
        before: what it holds now.
        contents: what it is to hold.
        generation: its number.

    Raises:
        KernelError: the kernel refused.

    """
    plane.write_config(slot, SlotConfig(generation, digest=NO_DIGEST))
    count = 0
    by_map: dict[PolicyMap, list[Change]] = {}
    for change in differences(before, contents):
        by_map.setdefault(change.map, []).append(change)
    for name, changes in by_map.items():
        upserts: Entries = {change.key: change.after for change in changes if change.after is not None}
        deletions = [change.key for change in changes if change.after is None]
        plane.write_entries(slot, name, upserts, deletions)
        count += len(changes)
    plane.write_config(slot, replace(contents.config, generation=generation))
    return count


def verify(
    plane: DataPlane,
    slot: int,
    contents: SlotContents,
    generation: int,
    readings: Readings | None = None,
    *,
    meanwhile: Callable[[], object] = _nothing,
) -> None:
    """Read the whole slot back and compare every entry with what was to be staged (I2).

    Args:
        plane: the kernel.
        slot: the standby slot.
        contents: what it is to hold.
        generation: its number.
        readings: what was read before; it makes no difference to the result.
        meanwhile: what else is to do, that nobody sees; the kernel takes its time.

    Raises:
        VerifyError: it holds something else.
        KernelError: it can't be read.

    """
    readings = readings or Readings()
    with ThreadPoolExecutor(1) as another:  # most of it is waiting for the kernel
        largest = another.submit(plane.read_map, slot, LARGEST)
        found = {name: plane.read_map(slot, name) for name in PolicyMap if name is not LARGEST}
        meanwhile()
    found[LARGEST] = largest.result()
    config, expected = read_config(plane, slot), replace(contents.config, generation=generation)
    if config != expected:
        raise VerifyError(f"the config of slot {slot} reads back as {config}, staged was {expected}")
    maps = contents.maps
    others = [name for name in PolicyMap if not readings.holds(slot, name, found[name], maps[name])]
    if others:
        wrong = sum(len(differing(found[name].entries(), maps[name])) for name in others)
        raise VerifyError(f"{wrong} entries of slot {slot} read back differently from what was staged")
