"""Tables that know what differs between them, so that a change of a large policy costs what it changes.

A table is a dictionary that nobody changes. One that was made of another knows which keys it touched, and the
two are compared by these alone. That is only ever a shorter way to what comparing all of them gives.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from functools import reduce
from itertools import chain, compress
from operator import is_not, ne
from typing import TYPE_CHECKING, Generic, NoReturn, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

Key = TypeVar("Key")
Value = TypeVar("Value")

STEPS = 3
"""How far back a table knows what it was made of: as many tables are kept in memory."""

MANY = 8
"""A change of more than one in so many entries is made by putting everything together anew."""


class Table(dict[Key, Value]):
    """A mapping that doesn't change.

    Attributes:
        made_of: the table that it was made of; None: of none, or nobody remembers.
        touched: the keys that may differ from that.

    """

    __slots__ = ("made_of", "touched")

    def __init__(self, entries: Mapping[Key, Value] | Iterable[tuple[Key, Value]] = ()) -> None:
        super().__init__(entries)
        self.made_of: Table[Key, Value] | None = None
        self.touched: Collection[Key] = ()

    def changed(self, written: Mapping[Key, Value], gone: Collection[Key] = ()) -> Self:
        """Return it with some entries written and others gone; raises KeyError for one that isn't there."""
        if not (written or gone):
            return self
        after = self._copy()
        for key in gone:
            dict.__delitem__(after, key)
        dict.update(after, written)
        after.made_of, after.touched = self, {*written, *gone}
        self._forget()
        return after

    def touched_since(self, before: object) -> set[Key] | None:
        """Return all keys that may differ from a table that this was made of; None when it wasn't."""
        touched: set[Key] = set()
        at: Table[Key, Value] | None = self
        while at is not None and at is not before:
            touched.update(at.touched)
            at = at.made_of
        return None if at is None else touched

    def _copy(self) -> Self:
        return type(self)(self)

    def _forget(self) -> None:
        """Let go of what is too many steps back for what was made of this."""
        at: Table[Key, Value] | None = self
        for _ in range(STEPS - 1):
            at = at and at.made_of
        if at is not None:
            at.made_of = None

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a table doesn't change: see Table.changed")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


class Packed(Table[bytes, bytes]):
    """Entries of one size, and all of them as one piece.

    Attributes:
        packed: keys with their values, in ascending order.

    """

    __slots__ = ("packed",)

    def __init__(self, entries: Mapping[bytes, bytes] | Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(entries)
        self.packed = _packed(self)

    def changed(self, written: Mapping[bytes, bytes], gone: Collection[bytes] = ()) -> Self:
        """Do the same as for any table."""
        after = super().changed(written, gone)
        if after is not self:
            if not self or MANY * (len(written) + len(gone)) > len(after):
                after.packed = _packed(after)
            else:
                changes = {**dict.fromkeys(gone, b""), **{key: key + written[key] for key in written}}
                after.packed = _spliced(self.packed, len(self.packed) // len(self), sorted(changes.items()))
        return after

    def _copy(self) -> Self:
        copy = type(self)()
        dict.update(copy, self)
        return copy


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
    if touched is not None:
        return [key for key in touched if before.get(key) != after.get(key)]
    # Without a step of Python for each entry.
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
