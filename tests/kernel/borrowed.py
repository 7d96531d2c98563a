"""Instances whose programs and maps were compiled and verified once, for tests that need many of them.

To have the programs compiled and verified takes seconds. Everything else about an instance (pins, links,
filters, entries, records) is its own and is made by the product's code.
"""

from __future__ import annotations

from pathlib import Path

from kernel.laboratory import SESSION_MAPS

from microseg.abi import SLOTS, PolicyMap, Root, SlotConfig
from microseg.kernel.bpf import Descriptor
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.loading import LoadAnswer
from microseg.kernel.maps import Map
from microseg.kernel.programs import Unit
from microseg.kernel.shapes import MapShape, map_shapes
from microseg.reconcile.dataplane import Sizing

SMALL = Sizing(addresses=64, services=64, rules=64, sessions=1024, sessions6=1024, rule_counters=64)


class BorrowingPlane(PinnedDataPlane):
    """Pins what another instance has loaded in place of compiling it once more."""

    def __init__(self, pin_dir: Path, lender: Path) -> None:
        super().__init__(pin_dir)
        self._lender = lender

    def _load_unit(self, unit: Unit, folder: Path, shapes: dict[str, MapShape]) -> LoadAnswer:  # type: ignore[override]
        into = unit.folder(folder)
        into.mkdir()
        for name in shapes:
            if not (self._maps_dir / name).exists():
                _pin_again(self._lender / "maps" / name, self._maps_dir / name)
        for name in ("jumps", *unit.functions()):
            _pin_again(unit.folder(self._lender / "programs") / name, into / name)
        return LoadAnswer()


def _pin_again(path: Path, other: Path) -> None:
    with Descriptor.pinned(path) as found:
        found.pin(other)


def forget_everything(pin_dir: Path) -> None:
    """Empty the maps of a loaded instance: as they are after a load."""
    names = [name.in_slot(slot) for name in PolicyMap for slot in range(SLOTS)]
    for name in (*names, *SESSION_MAPS, "rule_counters"):
        with Map.pinned(pin_dir / "maps" / name) as found:
            found.delete_many(list(found.entries()))
    plane = PinnedDataPlane(pin_dir)
    plane.write_root(Root())
    for slot in range(SLOTS):
        plane.write_config(slot, SlotConfig())
    plane.close()


def capacities_of(sizing: Sizing) -> dict[str, int]:
    """Return the capacity of each map that an instance of this size has."""
    return {name: shape.max_entries for name, shape in map_shapes(sizing).items()}
