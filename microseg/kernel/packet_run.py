"""Run a loaded program on a packet of ours: BPF_PROG_TEST_RUN.

The kernel makes a linear socket buffer of the frame in the caller's network namespace: at least 14 bytes, at
most what fits in a page (about 3,500), and newer kernels want the IP header whole. Of the context only the
fields of FrameContext can be set. What needs a non-linear buffer, a VLAN tag in metadata or a device without
a link header has to be tested with real traffic. A program of XDP gets the frame in one piece, and of the
context only the interface. See net/bpf/test_run.c, bpf_prog_test_run_skb and bpf_prog_test_run_xdp.
"""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass

from microseg.kernel.bpf import Attributes, Command, address_of
from microseg.kernel.errors import call_error

_CONTEXT_SIZE = 192
"""sizeof(struct __sk_buff)."""

_MARK, _PRIORITY, _IFINDEX, _CB, _GSO_SEGS, _GSO_SIZE = 8, 32, 40, 48, 164, 176
"""Offsets of 32-bit fields in struct __sk_buff; cb has five."""

_XDP_CONTEXT_SIZE = 24
"""sizeof(struct xdp_md)."""

_DATA_END, _INGRESS_IFINDEX = 4, 12
"""Offsets of 32-bit fields in struct xdp_md."""

_LARGEST = 4096

PASS = 0xFFFFFFFF
"""TCX_NEXT and TC_ACT_UNSPEC, -1 as the kernel returns it."""

DROP = 2
"""TCX_DROP and TC_ACT_SHOT."""

REDIRECT = 7
"""TCX_REDIRECT and TC_ACT_REDIRECT: the frame, rewritten, goes back where it came from."""

XDP_DROP, XDP_PASS, XDP_TX = 1, 2, 3

_RESULT, _SIZE_OUT, _DURATION = 4, 12, 36
"""Offsets of the answer in union bpf_attr."""


@dataclass(frozen=True, slots=True)
class FrameContext:
    """Fields of the socket buffer.

    Attributes:
        mark: skb->mark.
        priority: skb->priority.
        ifindex: interface in the caller's network namespace; 0: none of them (loopback's).
        cb: five words of scratch space.
        gso_segs: segments of a large packet; needs gso_size.
        gso_size: bytes of each of its segments; 0: not one.

    """

    mark: int = 0
    priority: int = 0
    ifindex: int = 0
    cb: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    gso_segs: int = 0
    gso_size: int = 0

    def to_bytes(self) -> bytearray:
        """Return a struct __sk_buff."""
        raw = bytearray(_CONTEXT_SIZE)
        struct.pack_into("=I", raw, _MARK, self.mark)
        struct.pack_into("=I", raw, _PRIORITY, self.priority)
        struct.pack_into("=I", raw, _IFINDEX, self.ifindex)
        struct.pack_into("=5I", raw, _CB, *self.cb)
        struct.pack_into("=I", raw, _GSO_SEGS, self.gso_segs)
        struct.pack_into("=I", raw, _GSO_SIZE, self.gso_size)
        return raw

    def to_xdp_bytes(self, length: int) -> bytearray:
        """Return a struct xdp_md for a frame of so many bytes; it has room for the interface only."""
        raw = bytearray(_XDP_CONTEXT_SIZE)
        struct.pack_into("=I", raw, _DATA_END, length)
        struct.pack_into("=I", raw, _INGRESS_IFINDEX, self.ifindex)
        return raw


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run gave.

    Attributes:
        value: what the program returned.
        passed: whether that lets the packet go on.
        duration_ns: nanoseconds per run.
        frame: the frame as the program left it.
        cb: five words as the program left them; none of XDP.

    """

    value: int
    passed: bool
    duration_ns: int
    frame: bytes
    cb: tuple[int, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether `frame` is sent back as an answer."""
        return self.value == (XDP_TX if not self.cb else REDIRECT)


_NO_CONTEXT = FrameContext()


class Runner:
    """Runs one program many times; the buffers are made once."""

    __slots__ = ("_context", "_context_out", "_fd", "_frame", "_frame_out")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._frame = ctypes.create_string_buffer(_LARGEST)
        self._frame_out = ctypes.create_string_buffer(_LARGEST)
        self._context = ctypes.create_string_buffer(_CONTEXT_SIZE)
        self._context_out = ctypes.create_string_buffer(_CONTEXT_SIZE)

    def run(self, frame: bytes, context: FrameContext = _NO_CONTEXT, repeat: int = 1) -> RunResult:
        """Run the program on a frame of 14 bytes to about 3,500."""
        attributes = self._call(frame, context.to_bytes(), repeat)
        cb = struct.unpack_from("=5I", self._context_out, _CB)
        value = attributes.word(_RESULT)
        return RunResult(value, value == PASS, attributes.word(_DURATION), self._left(attributes), cb)

    def _left(self, attributes: Attributes) -> bytes:
        return ctypes.string_at(self._frame_out, attributes.word(_SIZE_OUT))

    def _call(self, frame: bytes, context: bytearray, repeat: int) -> Attributes:
        assert len(frame) <= _LARGEST, f"a frame of {len(frame)} bytes"
        ctypes.memmove(self._frame, frame, len(frame))
        ctypes.memmove(self._context, bytes(context), len(context))
        attributes = Attributes(
            "4I2Q4I2Q",
            *(self._fd, 0, len(frame), _LARGEST, address_of(self._frame), address_of(self._frame_out)),
            *(repeat, 0, len(context), len(context)),
            *(address_of(self._context), address_of(self._context_out)),
        )
        _, number = attributes.call(Command.PROG_TEST_RUN)
        if number:
            raise call_error(f"test-run a program on a frame of {len(frame)} bytes", number)
        return attributes


class XdpRunner(Runner):
    """Runs one program of XDP; mark, priority, cb and gso of a context mean nothing to it."""

    __slots__ = ()

    def run(self, frame: bytes, context: FrameContext = _NO_CONTEXT, repeat: int = 1) -> RunResult:
        """Run the program on a frame of 14 bytes to about 3,500."""
        attributes = self._call(frame, context.to_xdp_bytes(len(frame)), repeat)
        value = attributes.word(_RESULT)
        return RunResult(value, value == XDP_PASS, attributes.word(_DURATION), self._left(attributes))
