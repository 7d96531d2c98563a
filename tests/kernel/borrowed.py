"""Instances whose programs and maps were compiled and verified once, for tests that need many of them.

To have the programs compiled and verified takes seconds. Everything else about an instance (pins, links,
filters, entries, records) is its own and is made by the product's code.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kernel.laboratory import SESSION_MAPS

from microseg.abi import SLOTS, PolicyMap, Root, SlotConfig
from microseg.kernel.bpf import Descriptor
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.loading import LoadAnswer
from microseg.kernel.maps import Map
from microseg.kernel.programs import Unit
from microseg.kernel.shapes import MapShape
from microseg.reconcile.dataplane import Sizing

SMALL = Sizing(addresses=64, services=64, rules=64, sessions=1024, sessions6=1024, rule_counters=64)


LARGER = replace(SMALL, rules=128, sessions=2048)
"""What an upgrade makes of it, together with the other build."""


EMPTIED = {
    *(name.in_slot(slot) for name in PolicyMap for slot in range(SLOTS)),
    *SESSION_MAPS,
    "rule_counters",
}


class Lender:
    """An instance whose loads are lent: the usual build, and the DEBUG build with larger maps."""

    def __init__(self, pin_dir: Path) -> None:
        self.bpffs = pin_dir.parent
        self.plane = PinnedDataPlane(pin_dir)
        self.plane.load(SMALL)
        self.plane.load(LARGER, debug=True)
        self._folders = {
            path.name.endswith("_debug"): path
            for path in pin_dir.iterdir()
            if path.name.startswith("programs_")
        }

    def folder(self, *, debug: bool) -> Path:
        """Return the folder of a build, its maps below."""
        return self._folders[debug]

    def forget_everything(self) -> None:
        """Empty the maps: as they are after a load."""
        for folder in self._folders.values():
            for name in EMPTIED:
                _empty(folder / "maps" / name)
        self.plane.write_root(Root())
        for slot in range(SLOTS):
            self.plane.write_config(slot, SlotConfig())


class BorrowingPlane(PinnedDataPlane):
    """Pins what another instance has loaded in place of compiling it once more."""

    def __init__(self, pin_dir: Path, lender: Lender) -> None:
        super().__init__(pin_dir)
        self._lender = lender

    def _load_unit(self, unit: Unit, folder: Path, shapes: dict[str, MapShape]) -> LoadAnswer:  # type: ignore[override]
        into, lent = unit.folder(folder), self._lender.folder(debug=folder.name.endswith("_debug"))
        into.mkdir(exist_ok=True)
        for name in shapes:
            if not (folder / "maps" / name).exists():
                _pin_again(lent / "maps" / name, folder / "maps" / name)
                if name in EMPTIED:
                    _empty(folder / "maps" / name)
        for name in ("jumps", *unit.functions()):
            _pin_again(unit.folder(lent) / name, into / name)
        return LoadAnswer()


def _empty(path: Path) -> None:
    with Map.pinned(path) as found:
        found.delete_many(list(found.entries()))


def _pin_again(path: Path, other: Path) -> None:
    with Descriptor.pinned(path) as found:
        found.pin(other)
