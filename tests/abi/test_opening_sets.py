"""Sessions that open, as user space reads and carries them: without a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from microseg.abi_opening import OPENING4_SIZE, OPENING6_SIZE, WAYS, Opening, openings, places, put
from microseg.abi_session import SESSION_KEY4_SIZE, SESSION_KEY6_SIZE, SESSION_SIZE

SIZES = [
    pytest.param(OPENING4_SIZE, SESSION_KEY4_SIZE, id="IPv4"),
    pytest.param(OPENING6_SIZE, SESSION_KEY6_SIZE, id="IPv6"),
]
SETS = 16


def made(rng: Random, key_size: int) -> Opening:
    return Opening(rng.getrandbits(64) | 1, rng.randbytes(key_size), rng.randbytes(SESSION_SIZE))


def in_sets(rng: Random, key_size: int, place: int) -> Iterator[Opening]:
    """Yield sessions that have only one set to go to."""
    while True:
        opening = made(rng, key_size)
        if places(opening.tag, SETS) == (place, place):
            yield opening


@pytest.mark.parametrize(("set_size", "key_size"), SIZES)
def test_what_is_put_is_read(set_size: int, key_size: int) -> None:
    rng, sets = Random(1), bytearray(SETS * set_size)
    put_in = [made(rng, key_size) for _ in range(SETS * WAYS // 2)]
    for opening in put_in:
        put(memoryview(sets), set_size, opening)
    assert sorted(openings(bytes(sets), set_size)) == sorted(put_in)


@pytest.mark.parametrize(("set_size", "key_size"), SIZES)
def test_all_find_their_places_in_a_larger_array(set_size: int, key_size: int) -> None:
    rng, sets, larger = Random(2), bytearray(SETS * set_size), bytearray(4 * SETS * set_size)
    for _ in range(2 * SETS * WAYS):
        put(memoryview(sets), set_size, made(rng, key_size))
    before = sorted(openings(bytes(sets), set_size))
    assert len(before) > SETS * WAYS * 3 // 4
    for opening in before:
        put(memoryview(larger), set_size, opening)
    assert sorted(openings(bytes(larger), set_size)) == before
    for place in range(4 * SETS):
        for opening in openings(bytes(larger[place * set_size : (place + 1) * set_size]), set_size):
            assert place in places(opening.tag, 4 * SETS)


def test_what_is_there_stays() -> None:
    sets, opening = bytearray(SETS * OPENING4_SIZE), made(Random(3), SESSION_KEY4_SIZE)
    put(memoryview(sets), OPENING4_SIZE, opening)
    put(memoryview(sets), OPENING4_SIZE, opening._replace(value=bytes(SESSION_SIZE)))
    assert list(openings(bytes(sets), OPENING4_SIZE)) == [opening]


def test_where_there_is_no_room_nothing_is_put() -> None:
    sets, of_one = bytearray(SETS * OPENING4_SIZE), in_sets(Random(4), SESSION_KEY4_SIZE, 5)
    first = [next(of_one) for _ in range(WAYS)]
    for opening in (*first, next(of_one)):
        put(memoryview(sets), OPENING4_SIZE, opening)
    assert sorted(openings(bytes(sets), OPENING4_SIZE)) == sorted(first)
