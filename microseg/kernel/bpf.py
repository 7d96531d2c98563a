"""The bpf(2) system call: a thin binding by ctypes, without libbpf or bcc.

Attributes are packed as `union bpf_attr` of include/uapi/linux/bpf.h has them; failures are CallErrors.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Self

from microseg.kernel.errors import call_error
from microseg.reconcile.dataplane import KernelError

_SYSCALLS = {"x86_64": (321, 324), "aarch64": (280, 283)}
"""Numbers of bpf and membarrier."""

_MEMBARRIER_GLOBAL = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Command(IntEnum):
    """Commands of bpf(2)."""

    MAP_CREATE = 0
    MAP_LOOKUP_ELEM = 1
    MAP_UPDATE_ELEM = 2
    MAP_DELETE_ELEM = 3
    MAP_GET_NEXT_KEY = 4
    PROG_LOAD = 5
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_TEST_RUN = 10
    PROG_GET_FD_BY_ID = 13
    MAP_GET_FD_BY_ID = 14
    OBJ_GET_INFO_BY_FD = 15
    PROG_QUERY = 16
    MAP_LOOKUP_BATCH = 24
    MAP_UPDATE_BATCH = 26
    MAP_DELETE_BATCH = 27
    LINK_CREATE = 28
    LINK_UPDATE = 29
    LINK_GET_FD_BY_ID = 30
    ENABLE_STATS = 32
    LINK_DETACH = 34


class MapType(IntEnum):
    """Map types in use here."""

    HASH = 1
    ARRAY = 2
    PROG_ARRAY = 3
    PERCPU_HASH = 5
    PERCPU_ARRAY = 6
    LRU_HASH = 9
    LPM_TRIE = 11
    RINGBUF = 27

    @property
    def per_cpu(self) -> bool:
        """Whether each CPU has a value of its own."""
        return self in (MapType.PERCPU_HASH, MapType.PERCPU_ARRAY)


def _syscall_numbers() -> tuple[int, int]:
    machine = platform.machine()
    if machine not in _SYSCALLS:
        raise KernelError(f"cannot call bpf(2) on {machine}", advice="use a machine of x86_64 or aarch64")
    return _SYSCALLS[machine]


class Attributes:
    """A `union bpf_attr` under construction, zero-filled; the kernel may write answers into it."""

    __slots__ = ("_buffer",)

    def __init__(self, layout: str, *fields: int, size: int = 128) -> None:
        self._buffer = ctypes.create_string_buffer(size)
        struct.pack_into("=" + layout, self._buffer, 0, *fields)

    def word(self, offset: int) -> int:
        """Return the 32-bit field at an offset."""
        (value,) = struct.unpack_from("=I", self._buffer, offset)
        return int(value)

    def set(self, layout: str, offset: int, *fields: int) -> None:
        """Write fields at an offset."""
        struct.pack_into("=" + layout, self._buffer, offset, *fields)

    def call(self, command: Command) -> tuple[int, int]:
        """Call bpf(2); returns (result, errno)."""
        number, _ = _syscall_numbers()
        result = _libc.syscall(number, int(command), self._buffer, len(self._buffer))
        return result, ctypes.get_errno() if result < 0 else 0

    def call_or_raise(self, command: Command, operation: str) -> int:
        """Call bpf(2); raises CallError, `operation` saying what was being done."""
        result, number = self.call(command)
        if result < 0:
            raise call_error(operation, number)
        return result


def address_of(buffer: ctypes.Array[ctypes.c_char]) -> int:
    """Return where a buffer is, for a pointer field."""
    return ctypes.addressof(buffer)


class Descriptor:
    """An object of the kernel by its file descriptor, closed with the context or the last reference."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def pinned(cls, path: Path) -> Self:
        """Open a pinned object; raises NotFoundError when nothing is there."""
        name = ctypes.create_string_buffer(os.fsencode(path))
        attributes = Attributes("QII", address_of(name), 0, 0)
        return cls(attributes.call_or_raise(Command.OBJ_GET, f"open {path}"))

    def pin(self, path: Path) -> None:
        """Pin under a path of a bpffs; raises ExistsError when something is there."""
        name = ctypes.create_string_buffer(os.fsencode(path))
        Attributes("QII", address_of(name), self.fd, 0).call_or_raise(Command.OBJ_PIN, f"pin {path}")

    def close(self) -> None:
        """Give the descriptor back; harmless when done before."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def object_info(fd: int, size: int, operation: str, fill: bytes = b"") -> bytes:
    """Return `struct bpf_*_info` of an object, up to size bytes; fill is what the kernel finds in it."""
    info = ctypes.create_string_buffer(fill.ljust(size, b"\0"), size)
    Attributes("IIQ", fd, size, address_of(info)).call_or_raise(Command.OBJ_GET_INFO_BY_FD, operation)
    return info.raw


@dataclass(frozen=True, slots=True)
class MapInfo:
    """Shape of a map; sizes in bytes, the value's of one CPU."""

    id: int
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    name: str

    def shape(self) -> str:
        """Return the shape in words, for messages."""
        try:
            kind = MapType(self.type).name.lower()
        except ValueError:
            kind = f"type {self.type}"
        sizes = f"key {self.key_size} bytes, value {self.value_size} bytes"
        return f"{kind}, {sizes}, {self.max_entries} entries, flags {self.flags:#x}"


def map_info(fd: int) -> MapInfo:
    """Return the shape of a map."""
    raw = object_info(fd, 80, "read a map's shape")
    type_, id_, key_size, value_size, max_entries, flags, name = struct.unpack_from("=6I16s", raw)
    return MapInfo(id_, type_, key_size, value_size, max_entries, flags, _text(name))


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """A loaded program: its id, its tag (hash of the instructions, hex), its name, and its size in bytes."""

    id: int
    type: int
    tag: str
    name: str
    octets: int


def program_info(fd: int) -> ProgramInfo:
    """Return what the kernel says of a program."""
    raw = object_info(fd, 128, "read a program's information")
    type_, id_, tag, _, octets = struct.unpack_from("=II8s2I", raw)
    (name,) = struct.unpack_from("=16s", raw, 64)
    return ProgramInfo(id_, type_, tag.hex(), _text(name), octets)


def create_map(type_: MapType, key_size: int, value_size: int, max_entries: int, flags: int = 0) -> int:
    """Make a map and return its descriptor (the programs' own maps are made by the loader)."""
    attributes = Attributes("5I", type_, key_size, value_size, max_entries, flags)
    return attributes.call_or_raise(Command.MAP_CREATE, f"create a {type_.name.lower()} map")


def program_by_id(id_: int) -> Descriptor:
    """Open a loaded program by its id."""
    return Descriptor(Attributes("I", id_).call_or_raise(Command.PROG_GET_FD_BY_ID, f"open program {id_}"))


def wait_for_readers() -> None:
    """Return once every program run that began before has ended: membarrier(GLOBAL) is synchronize_rcu().

    See kernel/sched/membarrier.c, MEMBARRIER_CMD_GLOBAL; programs run inside RCU read sections.
    """
    _, number = _syscall_numbers()
    if _libc.syscall(number, _MEMBARRIER_GLOBAL, 0, 0) < 0:
        raise call_error("wait for packets under way (membarrier)", ctypes.get_errno())


def possible_cpus() -> int:
    """Return how many values a per-CPU entry has: the CPUs that may ever be present."""
    text = Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii").strip()
    return 1 + max(int(part.rpartition("-")[2]) for part in text.split(","))


def _text(name: bytes) -> str:
    return name.split(b"\0", 1)[0].decode("ascii", "replace")
