"""Lines of the flow cache as the kernel program keeps them; see docs/designs/flow-cache.md."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from microseg.abi_session import COOKIE_BITS

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE4 = struct.Struct("=2I2Q8s")
_LINE6 = struct.Struct("=2I2Q32s8x")
WAYS = 2
"""Lines that share a place; a value of flow4 or flow6 is a place."""

LINES4_SIZE = WAYS * _LINE4.size
LINES6_SIZE = WAYS * _LINE6.size
UNTIL_BITS = 36
"""Jiffies until which a line may speak; the 28 bits above them are packets."""

COOKIE_BIT = 64 - COOKIE_BITS
BACKWARD = 1 << COOKIE_BIT - 1
"""Of `ends`: the second endpoint of the key is the sender; the bit is free in the key."""


class Line(NamedTuple):
    """What one CPU counted of one direction of a session, and hasn't handed to the session yet.

    Attributes:
        key: of its session.
        cookie: of its session.
        from_second: the second endpoint of the key is the sender.
        packets: not in the session yet.
        octets: likewise, with link headers.

    """

    key: bytes
    cookie: int
    from_second: bool
    packets: int
    octets: int


def lines(places: bytes, place_size: int) -> Iterator[Line]:
    """Yield the lines that hold counts, from values of flow4 (place_size LINES4_SIZE) or flow6."""
    layout = _LINE4 if place_size == LINES4_SIZE else _LINE6
    for _, octets, life, ends, addresses in layout.iter_unpack(places):
        packets = life >> UNTIL_BITS
        if packets:
            within = (ends & (1 << COOKIE_BIT) - 1) & ~BACKWARD
            key = addresses + within.to_bytes(8, "little")
            yield Line(key, ends >> COOKIE_BIT, bool(ends & BACKWARD), packets, octets)


def c_constants() -> dict[str, int]:
    """Return every constant of this page as the C side names it (without the -D)."""
    return {
        "MS_SIZEOF_LINES4": LINES4_SIZE,
        "MS_SIZEOF_LINES6": LINES6_SIZE,
        "MS_LINE_UNTIL_BITS": UNTIL_BITS,
        "MS_LINE_COOKIE_BIT": COOKIE_BIT,
    }
