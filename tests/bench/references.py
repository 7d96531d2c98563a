"""The programs that the data plane is measured against, compiled from reference.c on its headers and maps."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from microseg.kernel.bpf import Descriptor
from microseg.kernel.loading import LoadRequest, load_programs
from microseg.kernel.packet_run import Runner
from microseg.kernel.program_text import BPF_DIRECTORY
from microseg.kernel.programs import TC
from microseg.kernel.shapes import MapShape, c_constants, map_shapes
from microseg.reconcile.dataplane import Sizing

SOURCE = Path(__file__).with_name("reference.c")
PROGRAMS = (
    *("empty", "parse_only", "plain"),
    *("many_parse_only", "many_plain", "many_lookup", "many_filter"),
    *("clients_filter", "ports_filter"),
)
PLAIN_SESSIONS = "plain_sessions"


@contextmanager
def references(pin_dir: Path, sizing: Sizing) -> Iterator[dict[str, Runner]]:
    """Load them beside the data plane of this folder, which was made with these capacities."""
    shapes = map_shapes(sizing)
    plain = {PLAIN_SESSIONS: shapes["session4"]}
    folder = pin_dir / "references"
    with tempfile.TemporaryDirectory() as sources, ExitStack() as stack:
        shutil.copytree(BPF_DIRECTORY, sources, dirs_exist_ok=True)
        shutil.copy(SOURCE, sources)
        stack.callback((pin_dir / "maps" / PLAIN_SESSIONS).unlink, missing_ok=True)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        load_programs(_request(sources, pin_dir / "maps", folder, shapes | plain))
        opened = {name: stack.enter_context(Descriptor.pinned(folder / name)) for name in PROGRAMS}
        yield {name: Runner(program.fd) for name, program in opened.items()}


def _request(sources: str, maps: Path, folder: Path, shapes: dict[str, MapShape]) -> LoadRequest:
    return LoadRequest(
        source_dir=sources,
        main=SOURCE.name,
        type=TC.type.value,
        maps_dir=str(maps),
        programs_dir=str(folder),
        programs=TC.functions() | {name: f"reference_{name}" for name in PROGRAMS},
        jumps=list(TC.jumps),
        shapes={name: shape.as_json() for name, shape in shapes.items()},
        defines=c_constants(shapes),
    )
