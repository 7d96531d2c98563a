"""The binding to bpf(2): maps of every kind in use, in batches and singly, and errors with names."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from microseg.kernel.bpf import Descriptor, MapType, create_map, possible_cpus, wait_for_readers
from microseg.kernel.errors import (
    CallError,
    ExistsError,
    MapFullError,
    NotFoundError,
    UnsupportedError,
    call_error,
)
from microseg.kernel.maps import Map
from microseg.reconcile.dataplane import KernelAccessError

NO_PREALLOC = 1


def numbers(count: int, key_size: int = 4, value_size: int = 8) -> dict[bytes, bytes]:
    return {i.to_bytes(key_size, "little"): (i * 3).to_bytes(value_size, "little") for i in range(count)}


@pytest.fixture
def table() -> Map:
    return Map(create_map(MapType.HASH, 4, 8, 10_000))


def test_one_entry(table: Map) -> None:
    table.update(b"abcd", b"12345678")
    assert table.lookup(b"abcd") == b"12345678"
    table.delete(b"abcd")
    with pytest.raises(NotFoundError, match="cannot read an entry"):
        table.lookup(b"abcd")
    with pytest.raises(NotFoundError):
        table.delete(b"abcd")


def test_many_entries_in_batches(table: Map) -> None:
    wanted = numbers(9_000)
    table.update_many(wanted)
    assert table.entries() == wanted
    table.delete_many([*list(wanted)[:5_000], b"none", *list(wanted)[5_000:8_999]])
    assert table.entries() == {list(wanted)[-1]: list(wanted.values())[-1]}


def test_a_batch_may_be_empty(table: Map) -> None:
    table.update_many({})
    table.delete_many([])
    assert table.entries() == {}


def test_full_map_says_so(table: Map) -> None:
    with pytest.raises(MapFullError, match=r"cannot write entry \d+ of 20000 of .*: E2BIG") as raised:
        table.update_many(numbers(20_000))
    assert "capacities" in raised.value.advice


def test_prefixes_in_batches() -> None:
    trie = Map(create_map(MapType.LPM_TRIE, 8, 4, 10_000, NO_PREALLOC))
    wanted = {
        bits.to_bytes(4, "little") + bytes([10, i, 0, 0]): bytes([i, bits, 0, 0])
        for i in range(250)
        for bits in (16, 24)
    }
    trie.update_many(wanted)
    assert trie.entries() == wanted
    trie.delete_many(list(wanted)[1:])
    assert len(trie.entries()) == 1


def test_entries_are_listed_without_batch_operations(table: Map) -> None:
    wanted = numbers(100)
    table.update_many(wanted)
    assert dict(table._one_by_one()) == wanted  # noqa: SLF001  # the way of kernels without LOOKUP_BATCH


def test_program_array_has_no_batches_and_is_empty() -> None:
    jumps = Map(create_map(MapType.PROG_ARRAY, 4, 4, 4))
    assert jumps.entries() == {}


def test_values_of_each_cpu() -> None:
    counters = Map(create_map(MapType.PERCPU_HASH, 4, 12, 10))
    value = b"".join(bytes([cpu + 1]) * 12 + bytes(4) for cpu in range(possible_cpus()))
    counters.update(b"abcd", value)
    expected = [bytes([cpu + 1]) * 12 for cpu in range(possible_cpus())]
    assert counters.split_per_cpu(counters.lookup(b"abcd")) == expected
    assert counters.split_per_cpu(counters.entries()[b"abcd"]) == expected


def test_memory_is_the_kernel_s_own_account(table: Map) -> None:
    assert table.memory_bytes() > 10_000 * 12


def test_pins(table: Map, bpffs: Path) -> None:
    path = bpffs / "pinned_table"
    table.update(b"abcd", b"12345678")
    table.pin(path)
    with pytest.raises(ExistsError):
        table.pin(path)
    with Map.pinned(path) as again:
        assert again.lookup(b"abcd") == b"12345678"
        assert again.info == table.info
    path.unlink()
    with pytest.raises(NotFoundError):
        Descriptor.pinned(path)


def test_keys_of_another_size_are_a_bug(table: Map) -> None:
    with pytest.raises(AssertionError):
        table.lookup(b"too long a key")


def test_waiting_for_readers_returns() -> None:
    wait_for_readers()


def test_errors_are_typed_and_named() -> None:
    assert isinstance(call_error("do", errno.EPERM), KernelAccessError)
    assert "root" in call_error("do", errno.EPERM).advice
    assert isinstance(call_error("do", 524), UnsupportedError)
    assert type(call_error("do", errno.EIO)) is CallError
    assert str(call_error("do", errno.EIO)) == "cannot do: EIO"
