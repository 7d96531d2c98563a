"""Contestants without rules: nothing at all, programs of one line, and the plain layout of sessions."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from bench.references import PLAIN_SESSIONS
from bench.references import SOURCE as REFERENCES
from bench.side.contestant import Lets, Place, Rules

from microseg.abi_flow import Direction
from microseg.kernel.bpf import Descriptor
from microseg.kernel.loading import LoadRequest, load_programs
from microseg.kernel.program_text import BPF_DIRECTORY
from microseg.kernel.programs import ProgramType
from microseg.kernel.shapes import c_constants, map_shapes
from microseg.kernel.tcx import create_tcx_link, tcx_supported
from microseg.kernel.xdp import create_xdp_link
from microseg.reconcile.dataplane import Sizing

SOURCE = Path(__file__).with_name("bare.c")


class Nothing:
    """No filter: what everything else is compared with."""

    name = "no filter"
    lets = Lets.ALL
    stateful = False

    def set_up(self, place: Place) -> None:
        """Do nothing."""

    def install(self, rules: Rules) -> None:
        """Do nothing."""

    def forget(self) -> None:
        """Do nothing."""


class Bare(Nothing):
    """A program that looks at nothing."""

    def __init__(self, name: str, lets: Lets, function: str, type_: ProgramType) -> None:
        self.name = name
        self.lets = lets
        self._function = function
        self._type = type_

    def set_up(self, place: Place) -> None:
        """Load and attach it."""
        place.pins.mkdir()
        request = LoadRequest(
            source_dir=str(SOURCE.parent),
            main=SOURCE.name,
            type=self._type.value,
            maps_dir=str(place.pins),
            programs_dir=str(place.pins / "programs"),
            programs={"program": self._function},
            jumps=[],
            shapes={},
            defines={},
        )
        load_programs(request)
        attach(place, place.pins / "programs" / "program", self._type)


class Plain(Nothing):
    """One lookup of a session, the kernel's clock, three counters; all new flows are let in."""

    name = "plain layout (lets all in)"
    stateful = True

    def set_up(self, place: Place) -> None:
        """Load and attach it."""
        sizing = Sizing(sessions=place.sessions)
        shapes = map_shapes(sizing)
        shapes[PLAIN_SESSIONS] = shapes["session4"]
        place.pins.mkdir()
        with tempfile.TemporaryDirectory() as sources:
            shutil.copytree(BPF_DIRECTORY, sources, dirs_exist_ok=True)
            shutil.copy(REFERENCES, sources)
            load_programs(
                LoadRequest(
                    source_dir=sources,
                    main=REFERENCES.name,
                    type=ProgramType.TC.value,
                    maps_dir=str(place.pins),
                    programs_dir=str(place.pins / "programs"),
                    programs={"program": "reference_plain"},
                    jumps=[],
                    shapes={name: shape.as_json() for name, shape in shapes.items()},
                    defines=c_constants(shapes),
                )
            )
        attach(place, place.pins / "programs" / "program", ProgramType.TC)


def attach(place: Place, program: Path, type_: ProgramType) -> None:
    """Attach a pinned program to where packets come in."""
    index = place.receiver.inside.index("eth0")
    opened = place.open.enter_context(Descriptor.pinned(program))
    with place.receiver.inside.entered():
        if type_ is ProgramType.XDP:
            place.open.enter_context(create_xdp_link(opened.fd, index))
        elif tcx_supported():
            place.open.enter_context(create_tcx_link(opened.fd, index, Direction.INGRESS))
        else:
            pinned = ("bpf", "direct-action", "object-pinned", str(program))
            place.receiver.inside.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
            place.receiver.inside.run("tc", "filter", "add", "dev", "eth0", "ingress", *pinned)


BARE = {
    "empty": Bare("empty TC program", Lets.ALL, "bare_pass", ProgramType.TC),
    "drop": Bare("TC, drops all", Lets.NONE, "bare_drop", ProgramType.TC),
    "xdp-drop": Bare("XDP, drops all", Lets.NONE, "bare_xdp_drop", ProgramType.XDP),
}
