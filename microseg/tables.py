"""Tables that know what differs between them, so that a change of a large policy costs what it changes.

A table is a mapping that nobody changes. One that is made of another takes over its dictionary, so nothing is
copied; the other remembers what was overwritten there, and the two are compared by that alone. It is only
ever a shorter way to what copying and comparing all of them gives.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Mapping
from functools import reduce
from itertools import chain, compress
from operator import is_not, ne
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        ItemsView,
        Iterable,
        Iterator,
        KeysView,
        Sequence,
        ValuesView,
    )

Key = TypeVar("Key")
Value = TypeVar("Value")

MANY = 8
"""A change of more than one in so many entries is made by putting everything together anew."""

_NOTHING: Any = object()
"""Stands for an entry that isn't there."""


class Table(Mapping[Key, Value]):
    """A mapping that doesn't change.

    Attributes:
        entries: all of them, until another table is made of this one, which takes them over.
        count: how many there are.
        newer: the table that was made of this one.
        overwritten: what this one has where the newer one has something else, or nothing.

    """

    __slots__ = ("__weakref__", "count", "entries", "newer", "overwritten")

    def __init__(self, entries: Mapping[Key, Value] | Iterable[tuple[Key, Value]] = ()) -> None:
        self.entries = dict(entries)
        self.count = len(self.entries)
        self.newer: Self | None = None
        self.overwritten: dict[Key, Value] = {}

    def changed(self, written: Mapping[Key, Value], gone: Collection[Key] = ()) -> Self:
        """Return it with some entries written and others gone; raises KeyError for one that isn't there."""
        if not (written or gone):
            return self
        entries, after = self.in_one(), type(self)()
        overwritten = {key: entries[key] for key in gone}
        overwritten |= {key: entries.get(key, _NOTHING) for key in written}
        for key in gone:
            del entries[key]
        entries.update(written)
        after.entries, after.count = entries, len(entries)
        self.entries, self.newer, self.overwritten = {}, after, overwritten
        return after

    def touched_since(self, before: object) -> set[Key] | None:
        """Return all keys that may differ from a table that this was made of; None when it wasn't."""
        touched: set[Key] = set()
        while before is not self:
            if not isinstance(before, Table) or before.newer is None:
                return None
            touched.update(before.overwritten)
            before = before.newer
        return touched

    def in_one(self) -> dict[Key, Value]:
        """Return all entries, for who looks at many. An older table gets a dictionary of its own."""
        steps: list[dict[Key, Value]] = []
        at = self
        while at.newer is not None:
            steps.append(at.overwritten)
            at = at.newer
        if steps:
            found = dict(at.entries)
            for step in reversed(steps):
                found.update(step)
            self.entries = {key: value for key, value in found.items() if value is not _NOTHING}
            self.newer, self.overwritten = None, {}
        return self.entries

    def _find(self, key: object) -> Value:
        """Return a value, or that there is nothing."""
        at: Table[Any, Value] = self
        while at.newer is not None:
            if key in at.overwritten:
                return at.overwritten[key]
            at = at.newer
        found: Value = at.entries.get(key, _NOTHING)
        return found

    def __getitem__(self, key: Key) -> Value:
        found = self._find(key)
        if found is _NOTHING:
            raise KeyError(key)
        return found

    def __contains__(self, key: object) -> bool:
        return self._find(key) is not _NOTHING

    def __iter__(self) -> Iterator[Key]:
        return iter(self.in_one())

    def __len__(self) -> int:
        return self.count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and len(self) == len(other) and not differing(self, other)

    def __hash__(self) -> NoReturn:
        raise TypeError("a mapping has no hash")

    def keys(self) -> KeysView[Key]:
        """Return all keys."""
        return self.in_one().keys()

    def values(self) -> ValuesView[Value]:
        """Return all values."""
        return self.in_one().values()

    def items(self) -> ItemsView[Key, Value]:
        """Return all of them."""
        return self.in_one().items()


class Packed(Table[bytes, bytes]):
    """Entries of one size, and all of them as one piece.

    Attributes:
        packed: keys with their values, in ascending order.

    """

    __slots__ = ("packed",)

    def __init__(self, entries: Mapping[bytes, bytes] | Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(entries)
        self.packed = _packed(self.entries)

    def changed(self, written: Mapping[bytes, bytes], gone: Collection[bytes] = ()) -> Self:
        """Do the same as for any table."""
        after = super().changed(written, gone)
        if after is not self:
            if not self or MANY * (len(written) + len(gone)) > len(after):
                after.packed = _packed(after.entries)
            else:
                changes = {**dict.fromkeys(gone, b""), **{key: key + written[key] for key in written}}
                after.packed = _spliced(self.packed, len(self.packed) // len(self), sorted(changes.items()))
        return after


def pack(entries: Mapping[bytes, bytes]) -> bytes:
    """Return keys with their values, in ascending order."""
    return entries.packed if isinstance(entries, Packed) else _packed(entries)


def pieces(packed: bytes, size: int) -> Iterator[bytes]:
    """Yield what stands in one piece, so many bytes each."""
    return chain.from_iterable(struct.iter_unpack(f"{size}s", packed))


def _packed(entries: Mapping[bytes, bytes]) -> bytes:
    keys = sorted(entries)
    return b"".join(chain.from_iterable(zip(keys, map(entries.__getitem__, keys), strict=True)))


def _spliced(packed: bytes, size: int, changes: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return records of a size with some in place of those of the same keys; empty ones leave nothing."""
    places, end = range(len(packed) // size), 0
    parts: list[bytes] = []
    for key, record in changes:
        at = size * bisect_left(places, key, key=lambda place: packed[place * size : place * size + len(key)])
        parts += (packed[end:at], record)
        end = at + size if packed[at : at + len(key)] == key else at
    return b"".join([*parts, packed[end:]])


def differing(before: Mapping[Key, Value], after: Mapping[Key, Value]) -> list[Key]:
    """Return the keys of which the values differ, or that only one of two mappings has, in no order."""
    if before is after:
        return []
    touched = after.touched_since(before) if isinstance(after, Table) else None
    if touched is None and isinstance(before, Table):
        touched = before.touched_since(after)
    if touched is not None:
        return [key for key in touched if before.get(key) != after.get(key)]
    # Without a step of Python for each entry.
    before, after = (each.in_one() if isinstance(each, Table) else each for each in (before, after))
    if isinstance(next(iter(after.values()), None), bytes):
        found = list(compress(after, map(ne, map(before.get, after), after.values())))
    else:  # comparing values takes longer: only if they are different objects
        others = list(compress(after, map(is_not, map(before.get, after), after.values())))
        found = list(compress(others, map(ne, map(before.get, others), map(after.get, others))))
    if len(before) + sum(key not in before for key in found) > len(after):
        found += before.keys() - after.keys()
    return found


def _others(before: Sequence[Value], after: Sequence[Value]) -> tuple[list[Value], list[Value]]:
    """Return the objects that are in one sequence only, or in another place."""
    if len(before) == len(after):
        differ = list(map(is_not, before, after))
        return list(compress(before, differ)), list(compress(after, differ))
    were, are = set(map(id, before)), set(map(id, after))
    return [each for each in before if id(each) not in are], [each for each in after if id(each) not in were]


class Union(Generic[Key, Value]):
    """A table joined of parts; at parts that were there last time nobody looks.

    Args:
        choose: of two values for one key, which one counts; whatever the order of the parts.

    """

    def __init__(self, choose: Callable[[Value, Value], Value]) -> None:
        self._choose = choose
        self._parts: Sequence[Mapping[Key, Value]] = ()
        self._table: Table[Key, Value] = Table()

    def of(self, parts: Sequence[Mapping[Key, Value]]) -> Table[Key, Value]:
        """Return all entries of the parts; the same object when they are as before."""
        left, came = _others(self._parts, parts)
        self._parts = tuple(parts)
        if not (left or came):
            return self._table
        if MANY * sum(map(len, (*left, *came))) > sum(map(len, parts)):
            self._table = Table(self._joined(parts))
        else:
            self._replace(differing(self._joined(left), self._joined(came)))
        return self._table

    def _replace(self, touched: Iterable[Key]) -> None:
        """Work out again what counts for some keys."""
        written: dict[Key, Value] = {}
        gone = []
        for key in touched:
            values = [part[key] for part in self._parts if key in part]
            if not values:
                gone.append(key)
            elif (value := reduce(self._choose, values)) != self._table.get(key):
                written[key] = value
        self._table = self._table.changed(written, gone)

    def _joined(self, parts: Iterable[Mapping[Key, Value]]) -> dict[Key, Value]:
        found: dict[Key, Value] = {}
        for part in parts:
            chosen = {key: self._choose(found[key], part[key]) for key in found.keys() & part.keys()}
            found.update(part)
            found.update(chosen)
        return found
