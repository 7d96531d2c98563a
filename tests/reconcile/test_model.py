"""Random sequences of applies, rollbacks and failures against a model of three variables."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from reconcile.fake import FakeDataPlane, Fault, When
from reconcile.worlds import OPERATOR, host_of, request_for, slots

from microseg.abi import PolicyMap, SlotContents, digest_of
from microseg.reconcile.apply import STEPS, StepName, apply
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.desired import Desired
from microseg.reconcile.errors import ApplyError, GuardError
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
        self.numbers: set[int] = set()

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(contents=slots())
    def apply(self, contents: SlotContents) -> None:
        before = self.plane.root
        result = apply(self.host, request_for(Desired(contents)))
        if result.plan.is_empty:
            assert self.plane.root == before
            return
        assert result.generation not in self.numbers
        self.numbers.add(result.generation)
        self.live, self.back = contents, self.live

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
            if not result.plan.is_empty:
                self.live, self.back = contents, self.live
        finally:
            self.plane.faults = []

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
        else:
            assert self.back is not None
            self.live, self.back = self.back, None

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
