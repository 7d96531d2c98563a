"""Instances whose programs and maps were compiled and verified once, for tests that need many of them.

To have the programs compiled and verified takes seconds. Everything else about an instance (pins, links,
filters, entries, records) is its own and is made by the product's code.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from kernel.cache_lines import empty, forget
from kernel.laboratory import COUNT_MAPS, FRAGMENT_MAPS, SESSION_MAPS
from kernel.sizing import SIZING

from microseg.abi import SLOTS, PolicyMap
from microseg.abi_settings import Settings
from microseg.kernel.bpf import Descriptor, program_info
from microseg.kernel.carrying import maps_reached
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.flows import Flows
from microseg.kernel.loading import LoadAnswer
from microseg.kernel.loads import is_debug
from microseg.kernel.maps import Map
from microseg.kernel.programs import XDP, Unit
from microseg.kernel.shapes import MapShape
from microseg.reconcile.dataplane import NotLoadedError, Sizing

SMALL = Sizing(addresses=64, services=64, rules=64, sessions=1024, sessions6=1024, rule_counters=64)


LARGER = replace(SMALL, rules=128, sessions=2048)
"""What an upgrade makes of it, together with the other build."""


EMPTIED = {
    *(name.in_slot(slot) for name in PolicyMap for slot in range(SLOTS)),
    *SESSION_MAPS,
    *FRAGMENT_MAPS,
    *COUNT_MAPS,
}
ZEROED = ("policy_root", "slot_config", "openings", "stats")


class Lender:
    """A loaded data plane that is lent: the usual build, and when it's asked for the DEBUG build.

    That one has the same maps, or some that are larger. One instance at a time has any use of them.
    """

    def __init__(self, plane: PinnedDataPlane, sizing: Sizing = SIZING, larger: Sizing | None = None) -> None:
        self.sizing = sizing
        self._larger = larger or sizing
        self._usual = plane
        self._debug: PinnedDataPlane | None = None

    def lend(self, pin_dir: Path) -> PinnedDataPlane:
        """Have an instance as it is after its first load; nothing is in the maps."""
        self.forget_everything()
        made = BorrowingPlane(pin_dir, self)
        made.load(self.sizing)
        return made

    def folder(self, *, debug: bool, unit: Unit | None = None) -> Path:
        """Return the folder of a build, its maps below, and programs of a unit of it."""
        plane = self._debug_plane() if debug else self._usual
        if unit is XDP:
            plane.require_xdp()
        return plane._loads.in_use()  # noqa: SLF001

    def forget_everything(self) -> None:
        """Make the maps what they are after a load."""
        for plane in (self._usual, self._debug):
            if plane is not None:
                _forget_everything(plane)

    def close(self) -> None:
        """Remove what was loaded here; the plane is its owner's."""
        if self._debug is not None:
            self._debug.unload()

    def _debug_plane(self) -> PinnedDataPlane:
        if self._debug is None:
            usual = self._usual._pin_dir  # noqa: SLF001
            folder = usual.with_name(f"{usual.name}_debug")
            BorrowingPlane(folder, self, as_new=False).load(self.sizing)
            self._debug = PinnedDataPlane(folder)
            self._debug.load(self._larger, debug=True)
        return self._debug


class BorrowingPlane(PinnedDataPlane):
    """Pins what another instance has loaded in place of compiling it once more; new maps begin empty."""

    def __init__(self, pin_dir: Path, lender: Lender, *, as_new: bool = True) -> None:
        super().__init__(pin_dir)
        self._lender = lender
        self._emptied = EMPTIED if as_new else set()

    def _load_unit(self, unit: Unit, folder: Path, shapes: dict[str, MapShape]) -> LoadAnswer:  # type: ignore[override]
        into, lent = unit.folder(folder), self._lender.folder(debug=is_debug(folder), unit=unit)
        into.mkdir(exist_ok=True)
        for name in shapes:
            if not (folder / "maps" / name).exists():
                _pin_again(lent / "maps" / name, folder / "maps" / name)
                if name in self._emptied:
                    with Map.pinned(folder / "maps" / name) as found:
                        empty(found)
        for name in ("jumps", *unit.functions()):
            _pin_again(unit.folder(lent) / name, into / name)
        return LoadAnswer()


def _forget_everything(plane: PinnedDataPlane) -> None:
    for name in EMPTIED:
        empty(plane.map(name))
    for name in ZEROED:
        found = plane.map(name)
        found.update_many({key: bytes(len(value)) for key, value in found.entries().items() if any(value)})
    forget(plane)
    _forget_judgements(plane)
    plane.write_settings(Settings(hz=plane.read_settings().hz))
    with Flows(plane).events() as reader:
        list(reader.read())


def _forget_judgements(plane: PinnedDataPlane) -> None:
    """Empty what only programs know of: it speaks for generations, whose numbers begin anew."""
    for name in ("ingress", "xdp/ingress"):
        with suppress(NotLoadedError), plane.program(name) as program:
            reached = maps_reached(program_info(program.fd).id)
            for judged in ("judged4", "judged6"):
                empty(reached[judged])
            for opened in reached.values():
                opened.close()


def _pin_again(path: Path, other: Path) -> None:
    with Descriptor.pinned(path) as found:
        found.pin(other)
