"""Random sequences of applies, confirmations, rollbacks, failures and restarts against a small model."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from reconcile.fake import FakeDataPlane, Fault, When
from reconcile.worlds import OPERATOR, contents_of, host_of, request_for, slots

from microseg.abi import PolicyMap, SlotContents, digest_of
from microseg.reconcile.apply import STEPS, StepName, apply
from microseg.reconcile.confirm import confirm
from microseg.reconcile.dataplane import KernelError, Sizing
from microseg.reconcile.desired import Desired
from microseg.reconcile.errors import ApplyError, GuardError
from microseg.reconcile.restore import Restoration, restore
from microseg.reconcile.rollback import roll_back
from microseg.reconcile.transaction import Transaction


class Reconciliation(RuleBasedStateMachine):
    """The model: what is in force, and what a rollback would bring back."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.plane = FakeDataPlane()
        self.host = host_of(self.plane, Path(self.folder.name))
        self.live: SlotContents | None = None
        self.back: SlotContents | None = None
        self.confirmed: SlotContents | None = None
        self.waits = False
        self.numbers: set[int] = set()

    def teardown(self) -> None:
        self.folder.cleanup()

    @precondition(lambda self: not self.waits)
    @rule(contents=slots())
    def apply(self, contents: SlotContents) -> None:
        before = self.plane.root
        result = apply(self.host, request_for(Desired(contents)))
        self.confirmed = contents
        if result.plan.is_empty:
            assert self.plane.root == before
            return
        assert result.generation not in self.numbers
        self.numbers.add(result.generation)
        self.live, self.back = contents, self.live

    @precondition(lambda self: not self.waits)
    @rule(contents=slots())
    def apply_to_be_confirmed(self, contents: SlotContents) -> None:
        result = apply(self.host, replace(request_for(Desired(contents)), confirm_within_s=60))
        if result.plan.is_empty:
            self.confirmed = contents
            return
        self.live, self.back, self.waits = contents, self.live, True

    @precondition(lambda self: self.waits)
    @rule()
    def apply_while_another_waits(self) -> None:
        with suppress(GuardError):
            apply(self.host, request_for(Desired(contents_of({}))))
            raise AssertionError("the way back was at stake")

    @precondition(lambda self: self.waits)
    @rule()
    def confirm(self) -> None:
        confirm(self.host, OPERATOR)
        self.confirmed, self.waits = self.live, False

    @rule()
    def let_time_go_by(self) -> None:
        self.plane.boot_s += 61
        if self.waits:
            self.live, self.back, self.waits = self.back, None, False

    @rule()
    def restart(self) -> None:
        self.plane.forget()
        self.plane.boot_s = 5
        restore(self.host, Restoration(OPERATOR, Sizing(), 0, None, lambda _: None))
        self.live, self.back, self.waits = self.confirmed, None, False

    @precondition(lambda self: not self.waits)
    @rule(contents=slots(), call=st.integers(0, 60), when=st.sampled_from(When))
    def fail(self, contents: SlotContents, call: int, when: When) -> None:
        self.plane.calls.clear()
        self.plane.faults = [Fault(call, when)]
        before = self.plane.enforced()
        try:
            result = apply(self.host, request_for(Desired(contents)))
        except (ApplyError, KernelError):
            assert self.plane.enforced() == before
            if "write_root" in self.plane.calls and self.live is not None:
                self.back = None
        else:
            self.confirmed = contents
            if not result.plan.is_empty:
                self.live, self.back = contents, self.live
        finally:
            self.plane.faults = []

    @precondition(lambda self: not self.waits)
    @rule(contents=slots(), last=st.sampled_from([step.name for step in STEPS[2:]]))
    def kill(self, contents: SlotContents, last: StepName) -> None:
        """Run the steps up to one, as a process that is killed after it: nothing is taken back."""
        tx = Transaction(self.host, request_for(Desired(contents)))
        done = set()
        for step in STEPS:
            if step.when is None or step.when(tx.plan):
                step.run(tx)
                done.add(step.name)
            if step.name is last:
                break
        tx.lock.release()
        if last is StepName.RECORD:
            self.confirmed = contents
        if StepName.FLIP in done:
            self.live, self.back = contents, self.live
        elif StepName.STAGE in done:
            self.back = None

    @precondition(lambda self: self.live is not None)
    @rule()
    def roll_back(self) -> None:
        try:
            roll_back(self.host, OPERATOR)
        except GuardError:
            assert self.back is None
            assert not self.waits
        else:
            assert self.back is not None or self.waits
            self.live, self.back, self.waits = self.back, None, False
            self.confirmed = self.live

    @invariant()
    def live_slot_is_the_last_applied(self) -> None:
        generation = self.plane.live_generation()
        if self.live is None:
            assert generation == 0
            return
        slot = generation & 1
        assert {name: self.plane.maps[slot, name] for name in PolicyMap} == self.live.maps
        config = self.plane.configs[slot]
        assert config.generation == generation
        assert config.digest == digest_of(self.live.config, self.live.maps)


TestReconciliation = Reconciliation.TestCase
TestReconciliation.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
