"""Reading a BPF ring buffer by mmap, without libbpf.

Layout (Documentation/bpf/ringbuf.rst): one page with the consumer's position, which we write; one page with
the producer's position; then the data, mapped twice in a row so that no record is ever split. There is one
consumer's position: of two readers at a time, each sees a part of the records.
"""

from __future__ import annotations

import ctypes
import mmap
import select
import struct
from typing import TYPE_CHECKING, Self

from microseg.abi_flow import EVENT_SIZE, Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.kernel.maps import Map

_BUSY = 1 << 31
_DISCARDED = 1 << 30
_HEADER = 8


class EventReader:
    """Takes events out of flow_events as they come."""

    def __init__(self, ring: Map) -> None:
        self._ring = ring
        self._size = ring.info.max_entries
        page = mmap.PAGESIZE
        self._consumer = mmap.mmap(ring.fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._position = ctypes.c_uint64.from_buffer(self._consumer)
        self._produced = mmap.mmap(
            ring.fd, page + 2 * self._size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page
        )
        self._poll = select.epoll()
        self._poll.register(ring.fd, select.EPOLLIN)

    def read(self, timeout_s: float = 0.0) -> Iterator[Event]:
        """Yield the events there are; waits up to timeout_s for the first one."""
        if timeout_s and not self._available():
            self._poll.poll(timeout_s)
        while self._available():
            at = mmap.PAGESIZE + (self._position.value & (self._size - 1))
            (header,) = struct.unpack_from("=I", self._produced, at)
            if header & _BUSY:
                return
            length = header & ~(_BUSY | _DISCARDED)
            record = self._produced[at + _HEADER : at + _HEADER + length]
            self._position.value += (length + _HEADER + 7) & ~7
            if not header & _DISCARDED and length == EVENT_SIZE:
                yield Event.from_bytes(record)

    def close(self) -> None:
        """Unmap."""
        del self._position
        self._consumer.close()
        self._produced.close()
        self._poll.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _available(self) -> bool:
        (produced,) = struct.unpack_from("@Q", self._produced, 0)
        return bool(self._position.value < produced)
