"""A packet generator in the kernel: live frames of BPF_PROG_TEST_RUN, sent as by a driver.

The kernel keeps a pool of frames, runs bpf/generator.c over each, and transmits them in batches
(Documentation/bpf/bpf_prog_run.rst, since 5.18). A veth pair hands them to the other side at once: what the
receiver does with a packet happens on the sender's processor, and its time is in the time of sending.
"""

from __future__ import annotations

import ctypes
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.kernel.bpf import Attributes, Command, Descriptor, MapType, address_of
from microseg.kernel.errors import call_error
from microseg.kernel.loading import LoadRequest, load_programs
from microseg.kernel.maps import Map
from microseg.kernel.program_text import BPF_DIRECTORY
from microseg.kernel.programs import ProgramType
from microseg.kernel.shapes import MapShape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from microseg.bench.frames import Template

_ORDER = struct.Struct("=11I12s")
"""struct mg_order."""
_CONTEXT = struct.Struct("=6I")
"""struct xdp_md."""
_ZERO = bytes(4)
_LIVE_FRAMES = 1 << 1
"""BPF_F_TEST_XDP_LIVE_FRAMES."""
_BATCH = 64
"""Frames sent at once: as many as a receiver takes in one poll."""
_DURATION = 36
"""Offset of the answer in union bpf_attr."""
STRIDE = 7919
"""From one flow to the next: prime, and so far that no two follow each other in memory."""


@dataclass(frozen=True, slots=True)
class Flows:
    """Whose packets are sent.

    Attributes:
        count: so many flows in turn; 0: each packet opens another one.
        hosts: source addresses they are spread over.
        start: the first flow's number.

    """

    count: int = 1
    hosts: int = 1
    start: int = 0


class Generator:
    """Sends from the network namespace of the caller; one at a time."""

    __slots__ = ("_order", "_program")

    def __init__(self, program: Descriptor, order: Map) -> None:
        self._program = program
        self._order = order

    def aim(self, template: Template, flows: Flows, ifindex: int) -> None:
        """Say what send() sends, and out of which interface of the caller's namespace; 0: it comes in."""
        assert not flows.count or flows.count % STRIDE, "all flows get their turn"
        stride = STRIDE % flows.count if flows.count else 1
        order = (
            *(ifindex, flows.count, stride, flows.hosts),
            *(int(template.first) & 0xFFFFFFFF, template.first_port),
            *(template.network_sum, template.transport_sum, flows.start, 0),
            *(template.replies, template.frame[:12]),
        )
        self._order.update(_ZERO, _ORDER.pack(*order))

    def sent(self) -> int:
        """Return the number of packets since aim()."""
        return int(_ORDER.unpack(self._order.lookup(_ZERO))[9])

    def turn(self) -> int:
        """Return the flow of the last packet, with which another aim() would go on."""
        return int(_ORDER.unpack(self._order.lookup(_ZERO))[8])

    def send(self, frame: bytes, packets: int, enters: int = 0) -> int:
        """Send as fast as it goes, and return the nanoseconds a packet took; an interrupt ends it early.

        What other processes have of the processor is not in that. Packets that come in do so through the
        interface of this index; 0: the loopback's.

        Raises CallError: the kernel has no live frames (before 5.18), or it may not be.
        """
        buffer = ctypes.create_string_buffer(frame, len(frame))
        context = ctypes.create_string_buffer(_CONTEXT.pack(0, len(frame), 0, enters, 0, 0), _CONTEXT.size)
        attributes = Attributes(
            "4I2Q4I2Q3I",
            *(self._program.fd, 0, len(frame), 0, address_of(buffer), 0),
            *(packets, 0, _CONTEXT.size, 0, address_of(context), 0),
            *(_LIVE_FRAMES, 0, min(_BATCH, packets)),
        )
        _, number = attributes.call(Command.PROG_TEST_RUN)
        if number:
            raise call_error("send packets (live frames of BPF_PROG_TEST_RUN)", number)
        return attributes.word(_DURATION)


@contextmanager
def generator(folder: Path) -> Iterator[Generator]:
    """Load a generator, pinned in a folder of a bpffs that doesn't exist yet and is removed again."""
    folder.mkdir()
    shapes = {"order": MapShape(MapType.ARRAY, 4, _ORDER.size, 1)}
    try:
        load_programs(
            LoadRequest(
                source_dir=str(BPF_DIRECTORY),
                main="generator.c",
                type=ProgramType.XDP.value,
                maps_dir=str(folder),
                programs_dir=str(folder / "programs"),
                programs={"generate": "microseg_generate"},
                jumps=[],
                shapes={name: shape.as_json() for name, shape in shapes.items()},
                defines={"MG_SIZEOF_ORDER": _ORDER.size},
            )
        )
        program = Descriptor.pinned(folder / "programs" / "generate")
        with program, Map.pinned(folder / "order") as order:
            yield Generator(program, order)
    finally:
        (folder / "programs" / "generate").unlink(missing_ok=True)
        (folder / "order").unlink(missing_ok=True)
        for place in (folder / "programs", folder):
            if place.exists():
                place.rmdir()
