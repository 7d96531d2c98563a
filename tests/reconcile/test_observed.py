from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reconcile.fake import FakeDataPlane

from microseg.abi import NO_DIGEST, Root, SlotConfig
from microseg.policy.rules import Verdict
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.observed import Observed, is_complete, read_live

generations = st.integers(0, 1000)


@given(generations, generations, generations, st.sampled_from([0, 5, 20]), generations)
def test_the_next_generation_is_the_smallest_new_one_of_the_standby_slot(
    root: int, first: int, second: int, deadline_s: int, recorded: int
) -> None:
    configs = (SlotConfig(first - first % 2), SlotConfig(second | 1))
    observed = Observed(loaded=True, root=Root(root, deadline_s), configs=configs, boot_time_s=10)

    number = observed.next_generation(recorded)

    seen = {root, recorded, configs[0].generation, configs[1].generation}
    assert number & 1 == observed.standby
    assert number > max(seen)
    assert number - max(seen) <= 2


def test_past_the_deadline_the_other_slot_is_in_force() -> None:
    configs = (SlotConfig(4), SlotConfig(5))
    before = Observed(loaded=True, root=Root(5, 100), configs=configs, boot_time_s=99)
    after = Observed(loaded=True, root=Root(5, 100), configs=configs, boot_time_s=100)

    assert (before.generation, before.live, before.confirm_left_s, before.reverted) == (5, 1, 1, False)
    assert (after.generation, after.live, after.confirm_left_s, after.reverted) == (4, 0, 0, True)


def test_the_way_back_from_the_first_apply_is_no_policy() -> None:
    observed = Observed(
        loaded=True, root=Root(1, 100), configs=(SlotConfig(), SlotConfig(1)), boot_time_s=100
    )

    assert observed.generation == 0
    assert observed.next_generation() == 3


def test_nothing_loaded_is_no_generation_and_slot_1_comes_first() -> None:
    observed = Observed()
    assert (observed.generation, observed.standby, observed.next_generation()) == (0, 1, 1)


@pytest.mark.parametrize(
    ("config", "complete"),
    [
        (SlotConfig(), False),
        (SlotConfig(3, None, digest=b"\1" * 32), False),
        (SlotConfig(3, Verdict.DENY, digest=NO_DIGEST), False),
        (SlotConfig(0, Verdict.DENY, digest=b"\1" * 32), False),
        (SlotConfig(3, Verdict.DENY, digest=b"\1" * 32), True),
    ],
)
def test_a_slot_is_complete_once_it_has_defaults_and_a_digest(config: SlotConfig, complete: bool) -> None:  # noqa: FBT001
    assert is_complete(config) is complete


def test_a_reading_during_a_change_is_taken_again() -> None:
    class Changing(FakeDataPlane):
        left = 2

        def read_map(self, slot, name):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            if self.left:
                self.left -= 1
                self.root = Root(self.root.generation + 1)
            return super().read_map(slot, name)

    plane = Changing()
    plane.loaded = plane.has_maps = True
    plane.root = Root(1)
    observed, _ = read_live(plane)
    assert observed.root == Root(3)

    plane.left = 10_000
    with pytest.raises(KernelError, match="again and again"):
        read_live(plane)
