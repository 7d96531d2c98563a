"""Reading what is counted: once for every interval, and nothing that would disturb what is measured."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from microseg.abi_flow import Stats
from microseg.bench.readings import FilterCounts, Reading, parse_cpu_time, parse_interface_counts
from microseg.kernel.attaching import Attacher
from microseg.kernel.bpf import program_by_id
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.errors import NotFoundError
from microseg.kernel.flows import Flows
from microseg.kernel.interfaces import interface_index
from microseg.kernel.runs import Runs, counting, runs_of
from microseg.reconcile.dataplane import InterfaceMissingError, NotLoadedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microseg.abi_flow import Direction

_INTERFACES = Path("/proc/thread-self/net/dev")
"""Of the caller's network namespace, which /sys doesn't follow."""
_CPUS = Path("/proc/stat")


class Reader:
    """Reads an interface of the caller's network namespace, and what an instance has on it.

    The kernel's statistics of BPF programs are on as long as it is open, when there is a program to read.
    """

    def __init__(self, interface: str, pin_dir: Path) -> None:
        self.interface = interface
        self._ifindex = interface_index(interface)
        self._attacher = Attacher(pin_dir)
        self._plane = PinnedDataPlane(pin_dir)
        self._flows = Flows(self._plane)
        self._open = ExitStack()
        self._known: Mapping[Direction, int] = {}

    def __enter__(self) -> Self:
        self._open.callback(self._plane.close)
        if self.programs():
            self._open.enter_context(counting())
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def programs(self) -> Mapping[Direction, int]:
        """Return the ids of our programs on the interface."""
        found = self._attacher.attached() if self._plane.is_loaded() else []
        return {one.direction: one.program_id for one in found if one.ifindex == self._ifindex}

    def others(self) -> tuple[str, ...]:
        """Return the other interfaces that are filtered: they are in the filter's figures too."""
        return tuple(it.interface for it in self._plane.attachments() if it.interface != self.interface)

    def has_policy(self) -> bool:
        """Say whether a policy is in force, on whichever interfaces."""
        return self._plane.is_loaded() and bool(self._plane.read_root().generation)

    def sessions(self) -> int | None:
        """Return how many sessions there are, expired ones included; None without a filter."""
        with suppress(NotLoadedError):
            return sum(self._flows.count_sessions().values()) if self.programs() else None
        return None

    def read(self) -> Reading:
        """Return everything as it is now; raises InterfaceMissingError when the interface is gone."""
        found = parse_interface_counts(_INTERFACES.read_text(encoding="utf-8"), self.interface)
        if found is None:
            raise InterfaceMissingError(f"the interface {self.interface} is gone")
        cpu = parse_cpu_time(_CPUS.read_text(encoding="ascii"))
        return Reading(time.monotonic(), found, cpu, self._read_filter())

    def _read_filter(self) -> FilterCounts | None:
        programs = self.programs()
        if not programs:
            return None
        if programs != self._known:  # an apply may have brought another load, with maps of its own
            self._plane.close()
            self._known = programs
        try:
            by_cpu = self._flows.stats_by_cpu()
        except NotLoadedError:
            return None
        packets = tuple(Stats.from_bytes([one]).packets for one in by_cpu)
        return FilterCounts(Stats.from_bytes(by_cpu), packets, _runs(programs))


def _runs(programs: Mapping[Direction, int]) -> dict[Direction, Runs]:
    found = {}
    for direction, program_id in programs.items():
        with suppress(NotFoundError), program_by_id(program_id) as program:
            found[direction] = runs_of(program)
    return found
