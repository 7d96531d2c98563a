from __future__ import annotations

import pytest

from microseg.compiler import ids


def test_ids_hang_on_nothing_but_the_name() -> None:
    few = ids.assign("set", ["web", "db"])
    many = ids.assign("set", [f"g{i}" for i in range(500)] + ["db", "web"])
    assert few["web"] == many["web"]
    assert few["db"] == many["db"]
    assert 0 not in many.values()


def test_kinds_have_ids_of_their_own() -> None:
    assert ids.assign("set", ["web"]) != ids.assign("service", ["web"])


def test_ids_are_the_same_in_every_release() -> None:
    # A changed id makes every host stage its whole policy anew and forget its counters.
    assert ids.assign("set", ["web"]) == {"web": 2709629431}


def test_colliding_names_are_told_apart_by_name_not_by_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(_kind: str, name: str, attempt: int) -> int:
        return (len(name) + attempt) % 8

    monkeypatch.setattr(ids, "_hash", narrow)
    forward = ids.assign("set", ["aa", "bb", "cc", "d"])
    backward = ids.assign("set", ["d", "cc", "bb", "aa"])
    assert forward == backward
    assert len(set(forward.values())) == 4
    assert 0 not in forward.values()
