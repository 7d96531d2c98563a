"""Values of pure functions, kept by all that they depend on, so that asking again costs next to nothing.

Whoever asks again and again owns such a memory and hands it down: nothing is kept on the side.
"""

from __future__ import annotations

from itertools import compress
from operator import is_not
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

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


class Translation(Generic[Key, Given, Value]):
    """A mapping whose values are worked out one by one, those of the same objects only once."""

    def __init__(self) -> None:
        self._given: Mapping[Key, Given] = {}
        self._made: dict[Key, Value] = {}

    def of(self, given: Mapping[Key, Given], make: Callable[[Key, Given], Value]) -> dict[Key, Value]:
        """Return what is made of each item, in the same order."""
        known, before = self._made, self._given
        found: dict[Key, Any] = dict(zip(given, map(known.get, given), strict=True))
        for key in compress(given, map(is_not, map(before.get, given), given.values())):
            found[key] = make(key, given[key])
        self._given, self._made = given, found
        return found
