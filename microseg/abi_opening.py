"""Sessions that open, as the program keeps them: sets of four by a hash of the key; see bpf/opening.h."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from microseg.abi_session import SESSION_KEY4_SIZE, SESSION_KEY6_SIZE, SESSION_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = 4
"""Sessions of a set; a value of opening4 or opening6 is a set."""

_TAGS = struct.Struct(f"={WAYS}Q")
_HEAD_SIZE = 64
_KEYS_AT = _HEAD_SIZE + WAYS * SESSION_SIZE
_CACHE_LINE = 64
_HASH_SHIFT = 44
_HASH_FACTOR = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


def _set_size(key_size: int) -> int:
    return -(-(_KEYS_AT + WAYS * key_size) // _CACHE_LINE) * _CACHE_LINE


OPENING4_SIZE = _set_size(SESSION_KEY4_SIZE)
OPENING6_SIZE = _set_size(SESSION_KEY6_SIZE)


class Opening(NamedTuple):
    """A session that opens.

    Attributes:
        tag: hash of its key, never 0.
        key: as in session4 or session6.
        value: as in them.

    """

    tag: int
    key: bytes
    value: bytes


def openings(sets: bytes, set_size: int) -> Iterator[Opening]:
    """Yield the sessions in values of opening4 (set_size OPENING4_SIZE) or opening6, one behind the other."""
    key_size = SESSION_KEY4_SIZE if set_size == OPENING4_SIZE else SESSION_KEY6_SIZE
    for start in range(0, len(sets), set_size):
        for way, tag in enumerate(_TAGS.unpack_from(sets, start)):
            if tag:
                key, value = start + _KEYS_AT + way * key_size, start + _HEAD_SIZE + way * SESSION_SIZE
                yield Opening(tag, sets[key : key + key_size], sets[value : value + SESSION_SIZE])


def put(memory: memoryview, set_size: int, opening: Opening) -> None:
    """Write a session into values of opening4 or opening6, in the order a program may read them in.

    It is left out where it is already, and where there is no room.
    """
    starts = [place * set_size for place in places(opening.tag, len(memory) // set_size)]
    tags = {start: _TAGS.unpack_from(memory, start) for start in starts}
    if any(opening.tag in some for some in tags.values()):
        return
    start = max(starts, key=lambda each: tags[each].count(0))
    if 0 not in tags[start]:
        return
    way = tags[start].index(0)
    key, value = start + _KEYS_AT + way * len(opening.key), start + _HEAD_SIZE + way * SESSION_SIZE
    memory[key : key + len(opening.key)] = opening.key
    memory[value : value + SESSION_SIZE] = opening.value
    struct.pack_into("=Q", memory, start + 8 * way, opening.tag)


def places(tag: int, sets: int) -> tuple[int, int]:
    """Return both sets of a tag, of so many, which are a power of two."""
    second = (tag >> 32) * _HASH_FACTOR & _WORD
    return tag >> _HASH_SHIFT & sets - 1, second >> _HASH_SHIFT & sets - 1


def c_constants() -> dict[str, int]:
    """Return every constant of this page as the C side names it (without the -D)."""
    return {
        "MS_OPENING_WAYS": WAYS,
        "MS_OPENING_HASH_SHIFT": _HASH_SHIFT,
        "MS_SIZEOF_OPENING4": OPENING4_SIZE,
        "MS_SIZEOF_OPENING6": OPENING6_SIZE,
    }
