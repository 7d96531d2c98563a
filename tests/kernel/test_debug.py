"""The DEBUG build: what it says of a packet, and that nothing of it is in the usual one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kernel.borrowed import Lender
from kernel.laboratory import Laboratory, allow, deny, tcp
from kernel.sizing import SIZING

from microseg.abi_outcome import Outcome
from microseg.kernel.bpf import program_info
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.loading import LoadRequest, load_programs
from microseg.kernel.program_text import BPF_DIRECTORY
from microseg.kernel.programs import TC, XDP, Unit
from microseg.kernel.shapes import c_constants, map_shapes
from microseg.policy.rules import Verdict
from microseg.reconcile.dataplane import Attachment, Hook

pytestmark = pytest.mark.compiles
TRACE = re.compile(r"\n\t+ms_trace(?:_packet)?\([^;]*;")
TRACED = re.compile(r"-(\d+) +\[\d+\] ..\..* microseg: (.*)")
"""A line of the trace: the thread that ran a program, in no interrupt, and what the program said."""


@pytest.fixture
def home(bpffs: Path) -> Iterator[Path]:
    folder = bpffs / "debugging"
    yield folder
    PinnedDataPlane(folder).unload()
    assert not folder.exists()


class Trace:
    """What the programs say that this thread runs; left alone, the kernel traces those of all processes."""

    def __init__(self, instance: Path) -> None:
        self._reading = os.open(instance / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        (instance / "trace_marker").write_text("microseg: here")
        ((thread, _),) = self._read()
        (instance / "set_event_pid").write_text(thread)
        (instance / "events" / "bpf_trace" / "bpf_trace_printk" / "enable").write_text("1")

    def close(self) -> None:
        os.close(self._reading)

    def lines(self) -> list[str]:
        """Return what was said since the last call."""
        return [said for _, said in self._read()]

    def _read(self) -> list[tuple[str, str]]:
        found = b""
        with suppress(BlockingIOError):
            while True:
                found += os.read(self._reading, 1 << 16)
        return TRACED.findall(found.decode())


@pytest.fixture
def trace(tmp_path: Path) -> Iterator[Trace]:
    """An instance of tracefs, so that nobody else's reading is disturbed."""
    subprocess.run(["mount", "-t", "tracefs", "tracefs", tmp_path], check=True)
    instance = tmp_path / "instances" / f"microseg{os.getpid()}"
    instance.mkdir()
    made = Trace(instance)
    yield made
    made.close()
    instance.rmdir()
    subprocess.run(["umount", tmp_path], check=True)


@pytest.fixture
def plane(home: Path, lender: Lender) -> PinnedDataPlane:
    return lender.lend(home)


def tags_of(home: Path, unit: Unit, sources: Path) -> dict[str, str]:
    """Load a unit of some sources, and return the tags of its programs."""
    maps = home / "programs_0" / "maps"
    maps.mkdir(parents=True)
    shapes = map_shapes(SIZING)
    request = LoadRequest(
        source_dir=str(sources),
        main=unit.main,
        type=unit.type.value,
        maps_dir=str(maps),
        programs_dir=str(home / "programs_1"),
        programs=unit.functions(),
        jumps=list(unit.jumps),
        shapes={name: shape.as_json() for name, shape in shapes.items()},
        defines=c_constants(shapes),
    )
    return load_programs(request).tags


@pytest.mark.parametrize("unit", [TC, XDP], ids=["tc", "xdp"])
def test_not_one_instruction_is_left_in_the_usual_build(
    loaded: PinnedDataPlane, home: Path, tmp_path: Path, unit: Unit
) -> None:
    without = Path(shutil.copytree(BPF_DIRECTORY, tmp_path / "bpf"))
    removed = 0
    for source in without.iterdir():
        text, number = TRACE.subn("", source.read_text())
        removed += number
        source.write_text(text)
    (without / "debug.h").write_text("")
    assert removed >= 6
    loaded.require_xdp()
    tags, folder = loaded.program_tags(), unit.folder(Path())
    assert {name: tags[str(folder / name)] for name in unit.functions()} == tags_of(home, unit, without)


def sizes(plane: PinnedDataPlane) -> dict[str, int]:
    found = {}
    for name in ("ingress", "egress", "cold"):
        with plane.program(name) as program:
            found[name] = program_info(program.fd).octets
    return found


def test_every_station_of_a_packet_is_traced(plane: PinnedDataPlane, trace: Trace) -> None:
    usual = sizes(plane)
    plane.load(SIZING, debug=True)
    assert plane.is_debug_program()
    assert all(sizes(plane)[name] > usual[name] for name in usual)
    lab = Laboratory(plane)
    denied, allowed = deny("10.1.1.0/24", "10.1.2.1", "tcp/22"), allow("10.1.1.0/24", "10.1.2.1")
    generation = lab.enforce(denied, allowed)

    lab.send(tcp("10.1.1.1", "10.1.2.1", 40000, 22))
    said = trace.lines()
    assert said[0] == "packet: family 4 protocol 6 outcome 0"
    assert said[2:5] == [
        "end 10.1.1.1 port 40000",
        "end 10.1.2.1 port 22",
        "session: none, in progress 0",
    ]
    assert any(line.startswith("hit ") for line in said)
    rule = f"{lab.id_of(denied):x}"
    assert f"verdict {int(Verdict.DENY)} by rule {rule} after " in said[-2]
    assert said[-1] == f"outcome {int(Outcome.DROP_DENIED)}, judged 1 by rule {rule}"

    lab.open_tcp()
    said = trace.lines()
    assert f"session: state 0 generation {generation} opening 1" in said
    lab.send(tcp("10.1.1.1", "10.1.2.1", 40000, 80, "A"))
    assert f"session: steady, rule {lab.id_of(allowed):x}" in trace.lines()


def test_xdp_follows_the_build_in_use(plane: PinnedDataPlane) -> None:
    plane.load(SIZING, debug=True)
    plane.require_xdp()
    tags = plane.program_tags()
    plane.load(SIZING, debug=False)
    assert not plane.is_debug_program()
    assert not any(name.startswith("xdp/") for name in plane.program_tags())
    plane.require_xdp()
    for name in ("ingress", "cold", "xdp/ingress", "xdp/cold"):
        assert plane.program_tags()[name] != tags[name]


@pytest.mark.usefixtures("namespace")
def test_programs_are_swapped_where_they_are_attached(plane: PinnedDataPlane, home: Path) -> None:
    attached = Attachment("lo", plane.preferred_hook())
    plane.attach([attached])
    before = plane._attacher.attached()  # noqa: SLF001
    assert plane.reasons_to_load(SIZING, debug=False) == ()
    assert plane.reasons_to_load(SIZING, debug=True) == ("the program is another build",)
    plane.load(SIZING, debug=True)
    assert plane.outdated() == ("lo",)
    plane.attach([attached])
    assert plane.outdated() == ()
    plane.remove_leftovers()
    assert plane.attachments() == (attached,)
    after = plane._attacher.attached()  # noqa: SLF001
    assert {one.program_id for one in before}.isdisjoint(one.program_id for one in after)
    assert len([path for path in home.iterdir() if path.name.startswith("programs_")]) == 1


@pytest.mark.usefixtures("namespace")
def test_a_swap_that_is_taken_back_leaves_the_program_there_was(plane: PinnedDataPlane, home: Path) -> None:
    plane.attach([Attachment("lo", Hook.CLSACT)])
    before, tags, pins = plane._attacher.attached(), plane.program_tags(), sorted(home.rglob("*"))  # noqa: SLF001
    for attached in (False, True):
        loaded = plane.load(SIZING, debug=True)
        if attached:
            plane.attach([Attachment("lo", Hook.CLSACT)])
        plane.take_back_load(loaded.previous)
        assert not plane.is_debug_program()
        assert plane.program_tags() == tags
        assert plane._attacher.attached() == before  # noqa: SLF001
        assert sorted(home.rglob("*")) == pins
