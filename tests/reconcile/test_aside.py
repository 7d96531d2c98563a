"""Calls made by a thread of their own."""

from __future__ import annotations

import threading

import pytest
from reconcile.fake import FakeDataPlane

from microseg.abi import PolicyMap, SlotContents
from microseg.reconcile.aside import Aside
from microseg.reconcile.dataplane import KernelError, Reading
from microseg.reconcile.observed import NOTHING
from microseg.reconcile.staging import stage, verify


def test_both_go_on_at_once_and_the_value_is_there_behind() -> None:
    ours, theirs = threading.Event(), threading.Event()

    def call() -> int:
        theirs.set()
        assert ours.wait(10)
        return 7

    with Aside(call) as aside:
        assert theirs.wait(10), "it is under way"
        ours.set()
    assert aside.value == 7


def test_what_it_raises_is_raised_where_the_value_is_asked_for() -> None:
    with Aside(lambda: 1 // 0) as aside:
        pass
    with pytest.raises(ZeroDivisionError):
        _ = aside.value


@pytest.mark.parametrize("broken", PolicyMap)
def test_a_map_that_cannot_be_read_back_is_an_error_whichever_it_is(broken: PolicyMap) -> None:
    class Broken(FakeDataPlane):
        def read_map(self, slot: int, name: PolicyMap) -> Reading:
            if name is broken:
                raise KernelError("no")
            return super().read_map(slot, name)

    plane = Broken()
    plane.loaded = plane.has_maps = True
    empty = SlotContents(NOTHING.maps, NOTHING.config)
    stage(plane, 1, empty, empty, 1)
    with pytest.raises(KernelError, match="no"):
        verify(plane, 1, empty, 1)
