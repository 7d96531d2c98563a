"""The ways a test's frame takes into the data plane: by PROG_TEST_RUN, or through a device of the kernel.

PROG_TEST_RUN makes one linear buffer and knows one kind of device. A tap device that takes a frame in pieces
makes buffers whose headers are anywhere, with the outer VLAN tag moved into the buffer's metadata; a tun
device has no link header at all. Both lead nowhere: nothing answers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from kernel.frame_parser import ETHERNET_HEADER, IPV4, IPV6, Reading, read_frame, read_ip
from kernel.laboratory import Laboratory, run

from microseg.abi_flow import Direction
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.errors import CallError
from microseg.kernel.packet_run import FrameContext
from microseg.reconcile.dataplane import Attachment, Hook

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_TAP, IFF_NAPI, IFF_NAPI_FRAGS, IFF_NO_PI = 0x0001, 0x0002, 0x0010, 0x0020, 0x1000
MOST_PIECES = 12


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame that was sent.

    Attributes:
        reading: what it is where the program sees it.
        direction: which way.
        passed: whether it did; None where only the counters can tell.

    """

    reading: Reading
    direction: Direction
    passed: bool | None = None


class Way(Protocol):
    """Sends frames."""

    def send(self, frame: bytes) -> Arrival | None:
        """Send a frame; None when it can't go this way, and then the program has not seen it."""
        ...


class TestRun:
    """PROG_TEST_RUN of the Ethernet programs; one frame in fifty is said to be a large one (GSO)."""

    __test__ = False

    def __init__(self, lab: Laboratory, rng: Random) -> None:
        self._flows = lab.flows
        self._hook = lab.hook
        self._rng = rng

    def send(self, frame: bytes) -> Arrival | None:
        direction = self._rng.choice(tuple(Direction))
        seen_by_xdp = self._hook is Hook.XDP and direction is Direction.INGRESS
        big = self._rng.random() < 0.02 and not seen_by_xdp
        context = FrameContext(gso_segs=2, gso_size=1448) if big else FrameContext()
        try:
            result = self._flows.run(frame, direction, context)
        except CallError as error:
            if error.number != errno.EINVAL:
                raise
            return None
        return Arrival(read_frame(frame, big=big), direction, result.passed)


class InPieces:
    """A tap device: each frame becomes a buffer of several fragments."""

    def __init__(self, device: int, rng: Random) -> None:
        self._device = device
        self._rng = rng

    def send(self, frame: bytes) -> Arrival | None:
        cuts = sorted({self._rng.randrange(1, len(frame)) for _ in range(self._rng.randrange(MOST_PIECES))})
        starts = [0, *(cut for cut in cuts if cut >= ETHERNET_HEADER)]
        pieces = [frame[start:end] for start, end in zip(starts, [*starts[1:], len(frame)], strict=True)]
        return Arrival(read_frame(frame), Direction.INGRESS) if _written(self._device, pieces) else None


class Bare:
    """A tun device: what is behind the Ethernet header, when that is IP."""

    def __init__(self, device: int) -> None:
        self._device = device

    def send(self, frame: bytes) -> Arrival | None:
        packet = frame[ETHERNET_HEADER:]
        if int.from_bytes(frame[12:14], "big") not in (IPV4, IPV6) or not packet:
            return None
        if not _written(self._device, [packet]):
            return None
        return Arrival(read_ip(packet, 6 if packet[0] >> 4 == 6 else 4), Direction.INGRESS)


def _written(device: int, pieces: list[bytes]) -> bool:
    """Write to a device; False when it refuses what was written."""
    try:
        os.writev(device, pieces)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOMEM, errno.EMSGSIZE):
            return False
        raise
    return True


@contextmanager
def silent_devices(plane: PinnedDataPlane, hook: Hook) -> Iterator[tuple[int, int]]:
    """Make a tap and a tun device under the filter, in a namespace that says nothing by itself."""
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1", encoding="ascii")
    tap, tun = _device("fuzztap", IFF_TAP | IFF_NAPI | IFF_NAPI_FRAGS), _device("fuzztun", IFF_TUN)
    try:
        for name in ("fuzztap", "fuzztun"):
            run("ip", "link", "set", name, "up")
        plane.attach([Attachment(name, hook) for name in ("fuzztap", "fuzztun")])
        yield tap, tun
        plane.detach(["fuzztap", "fuzztun"])
    finally:
        os.close(tap)
        os.close(tun)


def _device(name: str, flags: int) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags | IFF_NO_PI))
    return descriptor
