"""Holding what the kernel gives back against what it is to hold: every byte, and each entry once (I2).

The kernel gives the entries of a map in an order of its own, which stays while entries are. So what was read
before and held what it was to hold can be compared as it is: without the few entries that have changed since,
the bytes have to be the same. Whatever else comes back is taken apart and compared entry by entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from microseg.tables import differing

if TYPE_CHECKING:
    from collections.abc import Collection

    from microseg.abi import Entries, PolicyMap
    from microseg.reconcile.dataplane import Reading

FEW = 32
"""Entries that are looked for one by one; of more, all are taken apart."""


class _Seen(NamedTuple):
    """What a map held when it was read, each entry once."""

    reading: Reading
    entries: Entries


class _Cut(NamedTuple):
    """A reading without some entries, and those it had."""

    keys: bytes
    values: bytes
    entries: Entries


class Readings:
    """What each map held when this process last read it."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, PolicyMap], _Seen] = {}

    def entries(self, slot: int, name: PolicyMap, reading: Reading) -> Entries:
        """Return the entries of a reading; those that were seen themselves, if it is what was read then."""
        seen = self._seen.get((slot, name))
        return seen.entries if seen and seen.reading == reading else reading.entries()

    def holds(self, slot: int, name: PolicyMap, reading: Reading, expected: Entries) -> bool:
        """Say whether a map holds these entries and no others."""
        seen = self._seen.pop((slot, name), None)
        held = (seen is not None and _is_changed(seen, reading, expected)) or _is_whole(reading, expected)
        if held:
            self._seen[slot, name] = _Seen(reading, expected)
        return held


def _is_whole(reading: Reading, expected: Entries) -> bool:
    return len(reading) == len(expected) and reading.entries() == expected


def _is_changed(seen: _Seen, reading: Reading, expected: Entries) -> bool:
    """Say whether it is sure that what was seen has become what is expected, and nothing else."""
    touched = differing(seen.entries, expected)
    if len(touched) > FEW:
        return False
    before, after = _without(seen.reading, touched), _without(reading, touched)
    wanted = {key: expected[key] for key in touched if key in expected}
    return (before.keys, before.values) == (after.keys, after.values) and after.entries == wanted


def _without(reading: Reading, keys: Collection[bytes]) -> _Cut:
    """Cut the first entry of each key out."""
    places = sorted((at, key) for key in keys if (at := _place(reading, key)) is not None)
    entries, end = {}, 0
    kept_keys, kept_values = [], []
    for at, key in places:
        kept_keys.append(reading.keys[end * reading.key_size : at * reading.key_size])
        kept_values.append(reading.values[end * reading.value_size : at * reading.value_size])
        entries[key] = reading.values[at * reading.value_size : (at + 1) * reading.value_size]
        end = at + 1
    kept_keys.append(reading.keys[end * reading.key_size :])
    kept_values.append(reading.values[end * reading.value_size :])
    return _Cut(b"".join(kept_keys), b"".join(kept_values), entries)


def _place(reading: Reading, key: bytes) -> int | None:
    """Return the number of the first entry with a key; None: there is none."""
    at = reading.keys.find(key)
    while at >= 0:
        number, rest = divmod(at, reading.key_size)
        if not rest:
            return number
        at = reading.keys.find(key, at + 1)
    return None
