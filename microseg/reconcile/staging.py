"""Filling the standby slot, and making sure that it was filled (I2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from microseg.abi import NO_DIGEST, SlotConfig
from microseg.reconcile.errors import VerifyError
from microseg.reconcile.observed import read_slot
from microseg.reconcile.plan import differences

if TYPE_CHECKING:
    from microseg.abi import Entries, PolicyMap, SlotContents
    from microseg.reconcile.dataplane import DataPlane
    from microseg.reconcile.plan import Change


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


def verify(plane: DataPlane, slot: int, contents: SlotContents, generation: int) -> None:
    """Read the whole slot back and compare every entry with what was to be staged (I2).

    Raises:
        VerifyError: it holds something else.
        KernelError: it can't be read.

    """
    found = read_slot(plane, slot)
    expected = replace(contents.config, generation=generation)
    if found.config != expected:
        raise VerifyError(f"the config of slot {slot} reads back as {found.config}, staged was {expected}")
    if found.maps != contents.maps:
        wrong = sum(1 for _ in differences(found, contents))
        raise VerifyError(f"{wrong} entries of slot {slot} read back differently from what was staged")
