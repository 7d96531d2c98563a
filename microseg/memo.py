"""Values of pure functions, kept by all that they depend on, so that asking again costs next to nothing.

Whoever asks again and again owns such a memory and hands it down: nothing is kept on the side.
"""

from __future__ import annotations

from itertools import compress, count
from operator import is_, is_not, ne
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

Key = TypeVar("Key", bound="Hashable")
Given = TypeVar("Given")
Value = TypeVar("Value")

_Objects = tuple[object, ...]


class Memo(Generic[Value]):
    """Values by the objects they were made of, and by plain values beside them.

    Objects count as equal only when they are the same, so nothing large is compared; they must not change.
    They are kept with the value: as long as it is there, no other object can have one's id.
    """

    def __init__(self) -> None:
        self._now: dict[Hashable, tuple[_Objects, Value]] = {}
        self._before: dict[Hashable, tuple[_Objects, Value]] = {}

    def find(self, objects: _Objects, plain: Hashable = None) -> Value | None:
        """Return the value, None when it isn't known."""
        key = (plain, *map(id, objects))
        found = self._now.get(key)
        if found is None:
            found = self._before.get(key)
            if found is None:
                return None
            self._now[key] = found
        return found[1]

    def keep(self, value: Value, objects: _Objects, plain: Hashable = None) -> Value:
        """Keep a value, and return it."""
        self._now[plain, *map(id, objects)] = objects, value
        return value

    def of(self, make: Callable[[], Value], objects: _Objects, plain: Hashable = None) -> Value:
        """Return the value, made when it isn't known; None is never known."""
        found = self.find(objects, plain)
        return self.keep(make(), objects, plain) if found is None else found

    def age(self) -> None:
        """Forget what wasn't asked for since the last time."""
        self._before, self._now = self._now, {}


class Last(Generic[Given, Value]):
    """The last value, while it is asked for of something equal."""

    def __init__(self) -> None:
        self._last: tuple[Given, Value] | None = None

    def of(self, make: Callable[[Value | None], Value], given: Given) -> Value:
        """Return the value of what is given, made with the help of the last one."""
        if self._last is None or self._last[0] != given:
            self._last = given, make(self._last[1] if self._last else None)
        return self._last[1]


class Each(Generic[Given, Value]):
    """Values of objects in a row, one by one; of those that were in the last row they are known."""

    def __init__(self) -> None:
        self._given: Sequence[Given] = ()
        self._values: Sequence[Value] = ()
        self._plain: Hashable = None

    def of(
        self, given: Sequence[Given], make: Callable[[Given], Value], plain: Hashable = None
    ) -> Sequence[Value]:
        """Return the value of each, which depends on it and on plain values beside it."""
        if plain != self._plain:
            self._given, self._values, self._plain = (), (), plain
        if not is_same(self._given, given):
            known = dict(zip(map(id, self._given), self._values, strict=True))
            values = [known[id(each)] if id(each) in known else make(each) for each in given]
            self._given, self._values = tuple(given), values
        return self._values


class Translation(Generic[Key, Given, Value]):
    """A mapping whose values are worked out one by one, those of the same objects only once."""

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self._given: list[Given] = []
        self._made: list[Value] = []

    def of(self, given: Mapping[Key, Given], make: Callable[[Key, Given], Value]) -> dict[Key, Value]:
        """Return what is made of each item, in the same order."""
        keys, values = list(given), list(given.values())
        head, tail = common_ends(self._keys, keys)  # so that only what is between them is looked up
        end = len(self._keys) - tail
        others = slice(head, end)
        pairs = zip(self._given[others], self._made[others], strict=True)
        known = dict(zip(self._keys[others], pairs, strict=True))
        between: list[tuple[Any, Any]] = [known.get(key, _NOTHING) for key in keys[head : len(keys) - tail]]
        before = [*self._given[:head], *(it for it, _ in between), *self._given[end:]]
        made = [*self._made[:head], *(it for _, it in between), *self._made[end:]]
        for at in compress(count(), map(is_not, before, values)):
            made[at] = make(keys[at], values[at])
        self._keys, self._given, self._made = keys, values, made
        return dict(zip(keys, made, strict=True))


_NOTHING = (object(), None)


def is_same(before: Sequence[object], after: Sequence[object]) -> bool:
    """Say whether two sequences are of the same objects."""
    return len(before) == len(after) and all(map(is_, before, after))


def common_ends(before: Sequence[object], after: Sequence[object]) -> tuple[int, int]:
    """Return with how many items two sequences begin alike, and with how many behind these they end."""
    shorter = min(len(before), len(after))
    head = next(compress(count(), map(ne, before, after)), shorter)
    tail = next(compress(count(), map(ne, reversed(before), reversed(after))), shorter)
    return head, min(tail, shorter - head)
