"""What sessions take: two cache lines each, and maps of the usual size by the kernel's own accounting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from microseg.abi_session import SESSION_KEY4_SIZE, SESSION_KEY6_SIZE, SESSION_SIZE
from microseg.kernel.carrying import CACHES
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.shapes import map_shapes
from microseg.reconcile.dataplane import Sizing

pytestmark = pytest.mark.compiles
CACHE_LINE = 64
ELEMENT_HEADER = 48
"""Of a hash map's element, struct htab_elem of kernel/bpf/hashtab.c."""
SESSIONS, MOST_BYTES, CACHE_BYTES = 100_000, 30_000_000, 9_500_000


def test_a_session_of_ipv4_is_two_cache_lines() -> None:
    assert (SESSION_KEY4_SIZE, SESSION_KEY6_SIZE, SESSION_SIZE) == (16, 40, CACHE_LINE)
    assert ELEMENT_HEADER + SESSION_KEY4_SIZE + SESSION_SIZE == 2 * CACHE_LINE


@pytest.fixture
def usual(bpffs: Path) -> Iterator[PinnedDataPlane]:
    plane = PinnedDataPlane(bpffs / "usual")
    plane.load(Sizing())
    yield plane
    plane.unload()


@pytest.mark.compiles
def test_a_hundred_thousand_sessions_fit_into_30_mb_and_their_flow_cache_into_10(
    usual: PinnedDataPlane,
) -> None:
    sessions = usual.map("session4")
    sessions.update_many(
        {number.to_bytes(4, "big") + bytes(12): bytes(SESSION_SIZE) for number in range(SESSIONS)}
    )
    assert len(sessions.entries()) == SESSIONS
    taken = {name: usual.map(name).memory_bytes() for name in map_shapes(Sizing())}
    cache = sum(taken.pop(name) for name in CACHES)
    assert sum(taken.values()) <= MOST_BYTES, taken
    assert cache <= CACHE_BYTES, cache
