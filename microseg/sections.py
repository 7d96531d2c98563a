"""A mapping in sections, of which a change leaves most as they are: nobody has to look into those."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Key = TypeVar("Key")
Value = TypeVar("Value")


class Sections(Mapping[Key, Value]):
    """Dictionaries that nobody changes, one behind the other; no key is in two of them.

    To make one takes as long as there are sections, and to look one key up as well: who looks up many asks
    for all in one dictionary.

    Args:
        sections: in order.

    """

    __slots__ = ("sections",)

    def __init__(self, sections: Iterable[Mapping[Key, Value]]) -> None:
        self.sections = tuple(sections)

    def __getitem__(self, key: Key) -> Value:
        for section in self.sections:
            if key in section:
                return section[key]
        raise KeyError(key)

    def __iter__(self) -> Iterator[Key]:
        return chain.from_iterable(self.sections)

    def __len__(self) -> int:
        return sum(map(len, self.sections))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and in_one(self) == in_one(other)

    def __hash__(self) -> NoReturn:
        raise TypeError("a mapping has no hash")


def sections_of(mapping: Mapping[Key, Value]) -> tuple[Mapping[Key, Value], ...]:
    """Return the sections of a mapping; one that has none is one."""
    return mapping.sections if isinstance(mapping, Sections) else (mapping,)


def in_one(mapping: Mapping[Key, Value]) -> Mapping[Key, Value]:
    """Return the same in one dictionary, for who looks up a lot."""
    if not isinstance(mapping, Sections):
        return mapping
    found: dict[Key, Value] = {}
    for section in mapping.sections:
        found.update(section)
    return found
