"""Frames made of other frames: bits and bytes anywhere, and the fields that a parser trusts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

ETHERNET_HEADER = 14
SHORTEST, LONGEST = 14, 1800
"""What PROG_TEST_RUN takes, and a bound to keep it quick."""
SPREAD = 64
"""Addresses of each family that the policies of tests/random_policies.py speak about."""
INTERESTING = (0, 1, 4, 5, 6, 7, 8, 15, 16, 20, 39, 40, 0x45, 0x46, 0x60, 0x7F, 0x80, 0xFE, 0xFF)
ETHERTYPES = (0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8, 0x9100, 0x8847, 0x0026)
NEXT_HEADERS = (0, 1, 2, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 135, 253)
PORTS = (0, 1, 22, 53, 67, 80, 443, 1024, 5432, 65535)

Change = Callable[[Random, bytearray], None]


class Mutator:
    """Makes frames from seeds, always the same ones for a seed of the random numbers."""

    def __init__(self, rng: Random, seeds: Sequence[bytes]) -> None:
        self._rng = rng
        self._seeds = seeds

    def frame(self) -> bytes:
        """Return the next frame: one in ten random bytes, the others a seed that was changed a few times."""
        rng = self._rng
        if rng.random() < 0.1:
            return _any_bytes(rng)
        frame = bytearray(rng.choice(self._seeds))
        if rng.random() < 0.1:
            _splice(rng, frame, rng.choice(self._seeds))
        while rng.random() < 0.65:
            rng.choice(_CHANGES)(rng, frame)
            frame += bytes(max(SHORTEST - len(frame), 0))
        return bytes(frame[:LONGEST])


def _any_bytes(rng: Random) -> bytes:
    octets = bytearray(rng.randbytes(rng.randint(SHORTEST, 200)))
    if rng.random() < 0.8:
        _put(octets, 12, rng.choice(ETHERTYPES), 2)
        _put(octets, ETHERNET_HEADER, rng.choice((0x45, 0x46, 0x4F, 0x60)), 1)
    return bytes(octets)


def _splice(rng: Random, frame: bytearray, other: bytes) -> None:
    first, second = (rng.randrange(ETHERNET_HEADER, len(each) + 1) for each in (frame, other))
    frame[first:] = other[second:]


def _flip(rng: Random, frame: bytearray) -> None:
    frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)


def _set_octet(rng: Random, frame: bytearray) -> None:
    _put(frame, rng.randrange(12, len(frame)), rng.choice(INTERESTING), 1)


def _set_word(rng: Random, frame: bytearray) -> None:
    _put(frame, rng.randrange(12, len(frame)), rng.randrange(0x10000), 2)


def _cut(rng: Random, frame: bytearray) -> None:
    del frame[rng.randrange(SHORTEST, len(frame) + 1) :]


def _grow(rng: Random, frame: bytearray) -> None:
    frame += rng.randbytes(rng.randrange(1, 100))


def _insert(rng: Random, frame: bytearray) -> None:
    at = rng.randrange(12, len(frame))
    frame[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8)))


def _remove(rng: Random, frame: bytearray) -> None:
    at = rng.randrange(12, len(frame))
    del frame[at : at + rng.choice((1, 2, 4, 8))]


def _repeat(rng: Random, frame: bytearray) -> None:
    at = rng.randrange(ETHERNET_HEADER, len(frame) + 1)
    frame[at:at] = frame[at : at + rng.choice((4, 8, 20, 40))]


def _ethertype(rng: Random, frame: bytearray) -> None:
    _put(frame, 12, rng.choice(ETHERTYPES), 2)


def _tag(rng: Random, frame: bytearray) -> None:
    frame[12:12] = rng.choice((b"\x81\0", b"\x88\xa8")) + rng.randbytes(2)


def _addresses(rng: Random, frame: bytearray) -> None:
    """Have one of the addresses be another one that policies speak about, or an extreme one."""
    if _version(frame) == 4:
        _put(frame, rng.choice((26, 30)), rng.choice((0x0A010000 + rng.randrange(SPREAD), 0, 0xFFFFFFFF)), 4)
        return
    at = rng.choice((22, 38))
    if rng.random() < 0.7:
        _put(frame, at + 8, rng.choice((rng.randrange(SPREAD), 1 << 63)), 8)
    else:
        _put(frame, at, rng.choice((0, 0x20010DB8 << 32, 0xFE80 << 48, 0xFF02 << 48)), 8)


def _swap_addresses(_: Random, frame: bytearray) -> None:
    first, size = (26, 4) if _version(frame) == 4 else (22, 16)
    middle, end = first + size, first + 2 * size
    if len(frame) >= end:
        frame[first:end] = frame[middle:end] + frame[first:middle]


def _protocol(rng: Random, frame: bytearray) -> None:
    _put(frame, 23 if _version(frame) == 4 else 20, rng.choice(NEXT_HEADERS), 1)


def _lengths(rng: Random, frame: bytearray) -> None:
    """Have the length of the packet be off by a little."""
    at, own = (16, 0) if _version(frame) == 4 else (18, 40)
    true = len(frame) - ETHERNET_HEADER - own
    _put(frame, at, rng.choice((true, true + 1, true - 1, true - 8, 0, 19, 20, 28, 0xFFFF)) & 0xFFFF, 2)


def _first_octet(rng: Random, frame: bytearray) -> None:
    _put(frame, ETHERNET_HEADER, rng.choice((4, 6)) << 4 | rng.randrange(16), 1)


def _fragment(rng: Random, frame: bytearray) -> None:
    if _version(frame) == 4:
        _put(frame, 20, rng.choice((0x2000, 0x2001, 1, 2, 5, 0x1FFF, 0x4000, 0)), 2)
        return
    if len(frame) < 54:
        return
    following = frame[20]
    fields = rng.choice((0, 1, 8, 9, 16, 0xFFF8)).to_bytes(2, "big")
    _extension(frame, 44, bytes([following, 0]) + fields + bytes([0, 0, 0, rng.randrange(4)]))


def _options(rng: Random, frame: bytearray) -> None:
    """Insert an IPv6 extension header, now and then one whose length lies."""
    if _version(frame) == 6 and len(frame) >= 54:
        kind, units = rng.choice((0, 43, 51, 60)), rng.choice((0, 0, 0, 1, 200))
        _extension(frame, kind, bytes([frame[20], units]) + bytes(6))


def _transport(rng: Random, frame: bytearray) -> None:
    """Have the header behind a plain IP header say something else."""
    start = 34 if _version(frame) == 4 else 54
    offset, value, size = rng.choice((
        (0, rng.choice(PORTS), 2),
        (2, rng.choice(PORTS), 2),
        (4, rng.choice((0, 7, 8, 9, 0xFFFF)), 2),
        (12, rng.randrange(16) << 4, 1),
        (13, rng.randrange(256), 1),
        (0, rng.choice((0, 3, 5, 8, 11, 128, 129, 130, 135, 143)), 1),
    ))  # fmt: skip
    _put(frame, start + offset, value, size)


def _hop_limit(rng: Random, frame: bytearray) -> None:
    _put(frame, 22 if _version(frame) == 4 else 21, rng.choice((0, 1, 254, 255)), 1)


_CHANGES: tuple[Change, ...] = (
    _flip,
    _set_octet,
    _set_word,
    _cut,
    _grow,
    _insert,
    _remove,
    _repeat,
    _ethertype,
    _tag,
    _addresses,
    _addresses,
    _swap_addresses,
    _protocol,
    _lengths,
    _first_octet,
    _fragment,
    _options,
    _transport,
    _transport,
    _hop_limit,
)


def _version(frame: bytearray) -> int:
    return frame[ETHERNET_HEADER] >> 4 if len(frame) > ETHERNET_HEADER else 4


def _extension(frame: bytearray, kind: int, header: bytes) -> None:
    """Insert an extension header right behind the IPv6 header, and let the payload length know."""
    frame[54:54] = header
    length = int.from_bytes(frame[18:20], "big") + len(header)
    _put(frame, 18, length & 0xFFFF, 2)
    _put(frame, 20, kind, 1)


def _put(frame: bytearray, at: int, value: int, size: int) -> None:
    if at + size <= len(frame):
        frame[at : at + size] = value.to_bytes(size, "big")
