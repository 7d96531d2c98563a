"""Entries of BPF maps: one by one, and many with one system call where the kernel can."""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path
from typing import TYPE_CHECKING

from microseg.kernel.bpf import (
    Attributes,
    Command,
    Descriptor,
    MapInfo,
    MapType,
    address_of,
    map_info,
    possible_cpus,
)
from microseg.kernel.errors import NotFoundError, UnsupportedError, call_error
from microseg.reconcile.dataplane import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_BATCH = 4096
"""Entries of one batch call; a hash bucket with more makes the kernel ask for more room."""

_UNSUPPORTED = (errno.EOPNOTSUPP, 524)
"""What a map type without batch operations answers (524: ENOTSUPP)."""


class Map(Descriptor):
    """A map by its descriptor. Values of per-CPU maps are those of all CPUs in one (see split_per_cpu)."""

    __slots__ = ("_room", "_stride", "info")

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.info: MapInfo = map_info(fd)
        self._room = _BATCH
        per_cpu = self.info.type in (MapType.PERCPU_HASH, MapType.PERCPU_ARRAY)
        self._stride = _round8(self.info.value_size) * possible_cpus() if per_cpu else self.info.value_size

    def __repr__(self) -> str:
        return f"Map({self.info.name}, id {self.info.id})"

    def lookup(self, key: bytes) -> bytes:
        """Return the value of a key; raises NotFoundError."""
        key_buffer, value = self._key(key), ctypes.create_string_buffer(self._stride)
        attributes = Attributes("IIQQQ", self.fd, 0, address_of(key_buffer), address_of(value), 0)
        attributes.call_or_raise(Command.MAP_LOOKUP_ELEM, f"read an entry of {self.info.name}")
        return value.raw

    def update(self, key: bytes, value: bytes) -> None:
        """Insert or replace an entry; raises MapFullError."""
        key_buffer, value_buffer = self._key(key), self._value(value)
        attributes = Attributes("IIQQQ", self.fd, 0, address_of(key_buffer), address_of(value_buffer), 0)
        attributes.call_or_raise(Command.MAP_UPDATE_ELEM, f"write an entry of {self.info.name}")

    def delete(self, key: bytes) -> None:
        """Delete an entry; raises NotFoundError."""
        key_buffer = self._key(key)
        attributes = Attributes("IIQ", self.fd, 0, address_of(key_buffer))
        attributes.call_or_raise(Command.MAP_DELETE_ELEM, f"delete an entry of {self.info.name}")

    def entries(self) -> Mapping[bytes, bytes]:
        """Return all entries. Entries that come or go meanwhile may be missed or seen."""
        return self.read().entries()

    def read(self) -> Reading:
        """Do the same, with the entries in one piece."""
        try:
            found = list(self._batches())
        except UnsupportedError:
            found = list(self._one_by_one())
        keys, values = (b"".join(each) for each in zip(*found, strict=True)) if found else (b"", b"")
        reading = Reading(keys, values, self.info.key_size, self._stride)
        self._room = _BATCH + len(reading)  # the next time by one call, which another thread can wait for
        return reading

    def count(self) -> int:
        """Return the number of entries, without keeping them."""
        try:
            return sum(len(keys) for keys, _ in self._batches()) // self.info.key_size
        except UnsupportedError:
            return sum(1 for _ in self._keys())

    def update_many(self, entries: Mapping[bytes, bytes]) -> None:
        """Insert or replace entries; raises MapFullError with the first ones written."""
        keys = list(entries)
        for start in range(0, len(keys), _BATCH):
            chunk = keys[start : start + _BATCH]
            values = b"".join(entries[key] for key in chunk)
            done, number = self._batch(Command.MAP_UPDATE_BATCH, b"".join(chunk), values, len(chunk))
            if number in _UNSUPPORTED:
                for key in chunk:
                    self.update(key, entries[key])
            elif number:
                raise call_error(f"write entry {start + done + 1} of {len(keys)} of {self.info.name}", number)

    def delete_many(self, keys: Sequence[bytes]) -> None:
        """Delete entries; those that aren't there are skipped."""
        start = 0
        while start < len(keys):
            chunk = keys[start : start + _BATCH]
            done, number = self._batch(Command.MAP_DELETE_BATCH, b"".join(chunk), b"", len(chunk))
            if number in _UNSUPPORTED:
                self._delete_singly(chunk)
                start += len(chunk)
            elif number == errno.ENOENT:
                start += done + 1
            elif number:
                raise call_error(f"delete an entry of {self.info.name}", number)
            else:
                start += len(chunk)

    def split_per_cpu(self, value: bytes) -> list[bytes]:
        """Return the values of the CPUs from a value of a per-CPU map."""
        stride = _round8(self.info.value_size)
        return [value[at : at + self.info.value_size] for at in range(0, self._stride, stride)]

    def memory_bytes(self) -> int:
        """Return what the kernel accounts for the map."""
        lines = Path(f"/proc/self/fdinfo/{self.fd}").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("memlock:"))

    def _key(self, key: bytes) -> ctypes.Array[ctypes.c_char]:
        assert len(key) == self.info.key_size, f"{self.info.name}: key of {len(key)} bytes"
        return ctypes.create_string_buffer(key, len(key))

    def _value(self, value: bytes) -> ctypes.Array[ctypes.c_char]:
        assert len(value) == self._stride, f"{self.info.name}: value of {len(value)} bytes"
        return ctypes.create_string_buffer(value, len(value))

    def _batch(self, command: Command, keys: bytes, values: bytes, count: int) -> tuple[int, int]:
        """Write a batch; returns (entries done, errno)."""
        assert len(keys) == count * self.info.key_size, f"{self.info.name}: keys of another size"
        assert not values or len(values) == count * self._stride, f"{self.info.name}: values of another size"
        key_buffer = ctypes.create_string_buffer(keys, len(keys))
        value_buffer = ctypes.create_string_buffer(values, max(len(values), 1))
        attributes = Attributes(
            "QQQQIIQQ", 0, 0, address_of(key_buffer), address_of(value_buffer), count, self.fd, 0, 0
        )
        _, number = attributes.call(command)
        return attributes.word(32), number

    def _batches(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values by LOOKUP_BATCH; raises UnsupportedError before the first ones."""
        room = min(self._room, self.info.max_entries)
        position = ctypes.create_string_buffer(max(self.info.key_size, 8))
        began = False
        while True:
            keys = ctypes.create_string_buffer(room * self.info.key_size)
            values = ctypes.create_string_buffer(room * self._stride)
            attributes = Attributes(
                "QQQQIIQQ",
                address_of(position) if began else 0,
                address_of(position),
                address_of(keys),
                address_of(values),
                room,
                self.fd,
                0,
                0,
            )
            _, number = attributes.call(Command.MAP_LOOKUP_BATCH)
            if number == errno.ENOSPC:
                room *= 2
                continue
            if number not in (0, errno.ENOENT):
                raise call_error(f"read the entries of {self.info.name}", number)
            count = attributes.word(32)
            yield (
                bytes(memoryview(keys)[: count * self.info.key_size]),
                bytes(memoryview(values)[: count * self._stride]),
            )
            if number == errno.ENOENT:
                return
            began = True

    def _one_by_one(self) -> Iterator[tuple[bytes, bytes]]:
        for key in list(self._keys()):
            try:
                yield key, self.lookup(key)
            except NotFoundError:
                continue

    def _keys(self) -> Iterator[bytes]:
        key: ctypes.Array[ctypes.c_char] | None = None
        while True:
            following = ctypes.create_string_buffer(self.info.key_size)
            attributes = Attributes("IIQQ", self.fd, 0, address_of(key) if key else 0, address_of(following))
            _, number = attributes.call(Command.MAP_GET_NEXT_KEY)
            if number == errno.ENOENT:
                return
            if number:
                raise call_error(f"list the entries of {self.info.name}", number)
            yield following.raw
            key = following

    def _delete_singly(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            try:
                self.delete(key)
            except NotFoundError:
                continue


def _round8(size: int) -> int:
    return (size + 7) & ~7
