"""The data plane as pinned objects under a folder of a bpffs: what reconciliation asks of the kernel.

PIN_DIR/programs, maps       see microseg.kernel.loads
PIN_DIR/links, clsact        see microseg.kernel.attaching
"""

from __future__ import annotations

import ctypes
import mmap
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from microseg.abi import SLOTS, PolicyMap, Root, SlotConfig
from microseg.abi_outcome import Outcome
from microseg.abi_settings import Settings
from microseg.kernel import bpf, inspection, rule_counts
from microseg.kernel.attaching import Attacher, hook_of
from microseg.kernel.bpf import Descriptor, program_info
from microseg.kernel.bpffs import require_bpffs
from microseg.kernel.carrying import POLICY, fill, follow_sessions, maps_reached, succession
from microseg.kernel.clock import measure_hz
from microseg.kernel.errors import NotFoundError
from microseg.kernel.flows import Flows
from microseg.kernel.interfaces import interface_index, interface_name
from microseg.kernel.loading import LoadAnswer, LoadRequest, load_programs
from microseg.kernel.loads import MAPS, Loads, is_debug, program_ids
from microseg.kernel.maps import Map
from microseg.kernel.packet_run import Runner
from microseg.kernel.program_text import BPF_DIRECTORY
from microseg.kernel.programs import TC, XDP, Unit
from microseg.kernel.shapes import MapShape, c_constants, map_shapes
from microseg.kernel.tcx import tcx_supported
from microseg.reconcile.dataplane import (
    Attachment,
    Hook,
    InterfaceMissingError,
    Irregularity,
    Judged,
    KernelError,
    Loaded,
    NotLoadedError,
    Reading,
    RuleCount,
    Sizing,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from microseg.abi import Entries
    from microseg.abi_session import Session

_ZERO = bytes(4)
_CANNOT_JUDGE = (Outcome.DROP_SLOT, Outcome.DROP_PROBES, Outcome.DROP_INTERNAL)


class PinnedDataPlane:
    """Implements reconcile.dataplane.DataPlane; instances live side by side in folders of their own."""

    def __init__(self, pin_dir: Path) -> None:
        self._pin_dir = pin_dir
        self._loads = Loads(pin_dir)
        self._attacher = Attacher(pin_dir)
        self._open: dict[str, Map] = {}

    # Loading

    def preferred_hook(self) -> Hook:
        """Return tcx where the kernel has it (6.6 and later), else clsact."""
        return Hook.TCX if tcx_supported() else Hook.CLSACT

    def is_loaded(self) -> bool:
        """Say whether programs and maps of ours are pinned, all that decide about packets."""
        return self._loads.programs.exists() and all(
            (self._loads.maps / name).exists() for name in (*POLICY, "config")
        )

    def load(self, sizing: Sizing, *, debug: bool = False) -> Loaded:
        """Compile, verify and pin the programs, and make the maps; what is in maps of one layout is kept.

        Programs that are attached go on until attach() replaces them. debug: those that trace each packet.
        """
        require_bpffs(self._pin_dir.parent)
        previous = self._loads.name_in_use()
        present = self._present_maps()
        plan = succession({name: MapShape.of(it.info) for name, it in present.items()}, map_shapes(sizing))
        folder = self._loads.new(debug=debug)
        try:
            (folder / MAPS).mkdir(parents=True)
            for name in plan.shared:
                present[name].pin(folder / MAPS / name)
            self._load_unit(TC, folder, plan.shapes)
            for name in plan.enlarged:
                with Map.pinned(folder / MAPS / name) as larger:
                    fill(present[name], larger)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            self._remove_empty_dirs()
            raise
        self._use(folder)
        if not self.read_settings().hz:
            with self.program("clock") as clock:
                self.write_settings(Settings(hz=measure_hz(Runner(clock.fd))))
        return Loaded(previous, plan.lost)

    def take_back_load(self, previous: str) -> None:
        """Use an earlier load again, also wherever the newer one is attached by now, and remove that."""
        newer, earlier = self._loads.in_use(), self._loads.folder(previous)
        if not earlier.is_dir():
            raise self._not_loaded()
        self._use(earlier)
        if self._attacher.running_programs() & program_ids(newer):
            self.attach(self.attachments())
        shutil.rmtree(newer, ignore_errors=True)

    def reasons_to_load(self, sizing: Sizing, *, debug: bool) -> tuple[str, ...]:
        """Return why what is loaded is not what load() would make of it; empty when it is."""
        folder, reasons = self._loads.in_use(), []
        if not self._loads.is_of_build(debug=debug):
            reasons.append("the program is another build")
        if missing := [name for name in TC.functions() if not (folder / name).exists()]:
            reasons.append(f"pins of programs are missing: {', '.join(missing)}")
        for name, shape in map_shapes(sizing).items():
            if not (folder / MAPS / name).exists():
                reasons.append(f"the map {name} is missing")
            elif (now := self.map(name).info.max_entries) < shape.max_entries:
                reasons.append(f"the map {name} is to hold {shape.max_entries} entries, not {now}")
        return tuple(reasons)

    def is_debug_program(self) -> bool:
        """Say whether the programs in use trace each packet."""
        return is_debug(self._loads.in_use())

    def _present_maps(self) -> dict[str, Map]:
        """Return the maps there are: those pinned, and of lost pins those of the programs that run."""
        present: dict[str, Map] = {}
        for program_id in self._attacher.running_programs():
            present |= maps_reached(program_id)
        for name in map_shapes(Sizing()):
            with suppress(NotFoundError):
                present[name] = Map.pinned(self._loads.maps / name)
        return present

    def _load_unit(self, unit: Unit, folder: Path, shapes: Mapping[str, MapShape]) -> LoadAnswer:
        debug = {"MS_DEBUG": 1} if is_debug(folder) else {}
        return load_programs(
            LoadRequest(
                source_dir=str(BPF_DIRECTORY),
                main=unit.main,
                type=unit.type.value,
                maps_dir=str(folder / MAPS),
                programs_dir=str(unit.folder(folder)),
                programs=unit.functions(),
                jumps=list(unit.jumps),
                shapes={name: shape.as_json() for name, shape in shapes.items()},
                defines=c_constants(shapes) | debug,
            )
        )

    def require_xdp(self) -> None:
        """Load the programs of XDP, which most hosts never need, beside those of TC that are in use."""
        folder = self._loads.in_use()
        if XDP.folder(folder).exists():
            return
        self._load_unit(XDP, folder, self._pinned_shapes())

    def _pinned_shapes(self) -> dict[str, MapShape]:
        """Return the shapes that the programs need, with the capacities of the maps there are."""
        return {
            name: replace(shape, max_entries=self.map(name).info.max_entries)
            for name, shape in map_shapes(Sizing()).items()
        }

    def unload(self) -> None:
        """Detach everywhere and remove every pin of ours. This ends enforcement (I8)."""
        for found in self._attacher.attached():
            self._attacher.detach(found.ifindex)
        self.close()
        self._loads.remove_links()
        for folder in [*self._loads.all(), self._pin_dir / "links"]:
            shutil.rmtree(folder, ignore_errors=True)
        self._remove_empty_dirs()

    def program_tags(self) -> dict[str, str]:
        """Return the tag of each pinned program in use."""
        tags = {}
        for unit, folder in self._units():
            for name in unit.functions():
                with Descriptor.pinned(folder / name) as program:
                    tags[str((folder / name).relative_to(self._loads.programs))] = program_info(
                        program.fd
                    ).tag
        return tags

    def program(self, name: str) -> Descriptor:
        """Open a program by its pin, such as ingress or xdp/ingress; raises NotLoadedError."""
        try:
            return Descriptor.pinned(self._loads.programs / name)
        except NotFoundError as error:
            raise self._not_loaded() from error

    def _units(self) -> list[tuple[Unit, Path]]:
        """Return what is loaded, and where."""
        if not self.is_loaded():
            raise self._not_loaded()
        folders = [(unit, unit.folder(self._loads.programs)) for unit in (TC, XDP)]
        return [(unit, folder) for unit, folder in folders if folder.exists()]

    # Interfaces

    def attachments(self) -> tuple[Attachment, ...]:
        """Return the interfaces both our programs are really attached to, sorted by name."""
        complete = []
        for ifindex, found in groupby(self._attacher.attached(), key=lambda one: one.ifindex):
            name, hook = interface_name(ifindex), hook_of(found)
            if name is not None and hook is not None:
                complete.append(Attachment(name, hook))
        return tuple(sorted(complete, key=lambda attachment: attachment.interface))

    def has_interface(self, name: str) -> bool:
        """Say whether there is a network interface of that name."""
        try:
            interface_index(name)
        except InterfaceMissingError:
            return False
        return True

    def attach(self, wanted: Sequence[Attachment]) -> None:
        """Attach to all of these, both directions; a failure on one puts all of them back."""
        if not self.is_loaded():
            raise self._not_loaded()
        if any(attachment.hook is Hook.XDP for attachment in wanted):
            self.require_xdp()
        earlier = self._earlier_running()
        self._attacher.attach(wanted, self._loads.programs)
        for folder in earlier:
            follow_sessions(folder / MAPS, self._loads.maps)

    def outdated(self) -> tuple[str, ...]:
        """Return the interfaces that run programs of an earlier load."""
        found = inspection.replaced_filters(self._loads.in_use(), self._attacher.attached())
        return tuple(sorted({it.subject for it in found}))

    def irregularities(self, tags: Mapping[str, str]) -> tuple[Irregularity, ...]:
        """Return what is wrong with pins, programs and filters; tags: as recorded, empty when unknown."""
        return inspection.all_of(self._loads, self._attacher.attached(), tags)

    def remove_leftovers(self) -> None:
        """Remove what earlier loads left; while a program is attached, its `jumps` must stay pinned."""
        kept = {self._loads.in_use(), *self._earlier_running()}
        for folder in self._loads.all():
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _use(self, folder: Path) -> None:
        self.close()
        self._loads.use(folder)

    def _earlier_running(self) -> list[Path]:
        current = self._loads.in_use()
        earlier = [folder for folder in self._loads.all() if folder != current]
        running = self._attacher.running_programs() if earlier else set()
        return [folder for folder in earlier if running & program_ids(folder)]

    def detach(self, interfaces: Sequence[str]) -> None:
        """Detach from these interfaces; others stay. One that is gone needs no detaching."""
        for name in interfaces:
            with suppress(InterfaceMissingError):
                self._attacher.detach(interface_index(name))

    # The policy

    def capacities(self) -> Mapping[PolicyMap, int]:
        """Return how many entries each policy map can hold per slot."""
        return {name: self.map(name.in_slot(0)).info.max_entries for name in PolicyMap}

    def read_root(self) -> Root:
        """Return the word that says which generation is in force."""
        return Root.from_bytes(self.map("policy_root").lookup(_ZERO))

    def write_root(self, root: Root) -> None:
        """Switch: one aligned 8-byte store (I1).

        Through the mapped page, where it is one instruction: an update by bpf(2) is a memcpy in the kernel
        (copy_map_value), which promises nothing of the sort.
        """
        page = mmap.mmap(self.map("policy_root").fd, mmap.PAGESIZE, mmap.MAP_SHARED)
        cell = ctypes.c_uint64.from_buffer(page)
        cell.value = int.from_bytes(root.to_bytes(), sys.byteorder)
        del cell
        page.close()

    def read_config(self, slot: int) -> SlotConfig:
        """Return a slot's defaults, generation and digest."""
        return SlotConfig.from_bytes(self.map("slot_config").lookup(_index(slot)))

    def write_config(self, slot: int, config: SlotConfig) -> None:
        """Replace a slot's defaults, generation and digest. Only ever called for the standby slot."""
        self.map("slot_config").update(_index(slot), config.to_bytes())

    def read_map(self, slot: int, name: PolicyMap) -> Reading:
        """Read all entries of one map of a slot."""
        return self.map(name.in_slot(slot)).read()

    def write_entries(self, slot: int, name: PolicyMap, upserts: Entries, deletions: Sequence[bytes]) -> None:
        """Delete and then upsert entries of one map of the standby slot, in batches."""
        target = self.map(name.in_slot(slot))
        target.delete_many(deletions)
        target.update_many(upserts)

    def wait_for_readers(self) -> None:
        """Return once no CPU can still be judging a packet under a root word read before (I1)."""
        bpf.wait_for_readers()

    def judge(self, frames: Sequence[bytes], generation: int) -> list[Judged]:
        """Return what the policy of a generation, also of the standby slot, says about Ethernet frames.

        Nothing is sent, and neither sessions nor counters change.
        """
        flows = Flows(self)
        answers = [flows.ask(frame, generation) for frame in frames]
        for answer in answers:
            if answer.outcome in _CANNOT_JUDGE:
                raise KernelError(f"generation {generation} can't be asked: {answer.outcome.meaning}")
        return [Judged(answer.verdict, answer.rule, answer.log) for answer in answers]

    # Counts, settings, clocks

    def rule_counts(self) -> Mapping[int, RuleCount]:
        """Return what each rule id has judged; id 0 is the default.

        Judged are the first packet of a session, its first after a change of policy, and every packet denied.
        """
        return rule_counts.read(self.map("rule_lines"), self.map("rule_counters"), Flows(self).stats())

    def sessions(self) -> list[Session]:
        """Return the live sessions, in no order."""
        return list(Flows(self).sessions())

    def forget_rules(self, rule_ids: Sequence[int]) -> None:
        """Remove the counters of rules that are in no policy any more, to make room for others."""
        rule_counts.forget(self.map("rule_lines"), self.map("rule_counters"), rule_ids)

    def boot_time_s(self) -> int:
        """Return the seconds since boot on the clock the deadline is compared with."""
        return int(time.clock_gettime(time.CLOCK_BOOTTIME))

    def adopt_until(self, boot_s: int) -> None:
        """Let TCP connections in progress go on if the policy allows one direction, until this boot time."""
        self.write_settings(replace(self.read_settings(), adopt_until_s=boot_s))

    def read_settings(self) -> Settings:
        """Return timeouts, event rate and adoption."""
        return Settings.from_bytes(self.map("config").lookup(_ZERO))

    def write_settings(self, settings: Settings) -> None:
        """Replace them; hz is kept when it is 0."""
        if not settings.hz:
            settings = replace(settings, hz=self.read_settings().hz)
        self.map("config").update(_ZERO, settings.to_bytes())

    def map(self, name: str) -> Map:
        """Return a pinned map, opened once; raises NotLoadedError."""
        if name not in self._open:
            try:
                self._open[name] = Map.pinned(self._loads.maps / name)
            except NotFoundError as error:
                raise self._not_loaded() from error
        return self._open[name]

    def close(self) -> None:
        """Close the maps that were opened; enforcement goes on (I8)."""
        for opened in self._open.values():
            opened.close()
        self._open.clear()

    def _not_loaded(self) -> NotLoadedError:
        return NotLoadedError(f"nothing is loaded under {self._pin_dir}", advice="`microseg apply` loads it")

    def _remove_empty_dirs(self) -> None:
        for folder in (self._pin_dir / "clsact", self._pin_dir):
            with suppress(OSError):
                folder.rmdir()


def _index(slot: int) -> bytes:
    assert 0 <= slot < SLOTS, f"no slot {slot}"
    return slot.to_bytes(4, sys.byteorder)
