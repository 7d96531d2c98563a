"""What an apply is given, what it learns on its way, and what it hands back."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microseg.reconcile.dataplane import Attachment, Sizing
from microseg.reconcile.lock import Lock
from microseg.reconcile.records import Operation
from microseg.reconcile.remembered import Remembered
from microseg.reconcile.safeguards import NO_LIFELINES, Lifelines, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from microseg.abi import PolicyMap, SlotContents
    from microseg.abi_settings import Settings
    from microseg.reconcile.dataplane import DataPlane, Hook, Loaded
    from microseg.reconcile.desired import Desired
    from microseg.reconcile.known import Known
    from microseg.reconcile.observed import Observed
    from microseg.reconcile.plan import Plan
    from microseg.reconcile.saved import SavedPlan
    from microseg.reconcile.state import NoteDraft, StateStore


@dataclass(frozen=True, slots=True)
class Host:
    """One instance of microseg.

    Attributes:
        plane: its kernel side.
        store: its state directory.
        run_dir: where its lock is.
        now: the time, UTC.
        remembered: what its slots held when they were last seen by this process.

    """

    plane: DataPlane
    store: StateStore
    run_dir: Path
    now: Callable[[], datetime]
    remembered: Remembered = field(default_factory=Remembered)


@dataclass(frozen=True, slots=True)
class Operator:
    """Who asks.

    Attributes:
        who: user, for the history.
        command: command line, for others who wait for the lock.
        lock_timeout_s: how long to wait for others.

    """

    who: str
    command: str
    lock_timeout_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Attributes:
        compile: makes the desired contents, given how many entries fit each map. Raises PolicyError.
        operator: who asks.
        interfaces: where to attach, besides where the program is attached already.
        hook: how; None: as the kernel prefers.
        attachments: where else, and how.
        sizing: capacities of maps that have to be made.
        allow_failing_tests: apply although the policy's own tests fail.
        lifelines: what must not be cut.
        allow_lockout: cut it nevertheless.
        limits: how much may change at once; None: everything.
        saved: carry this plan out, or nothing; None: whatever there is to do.
        debug_program: a program that has to be loaded traces each packet.
        keep_program: programs and maps that are loaded stay, whatever they are.
        adopt_s: for how long after attaching connections in progress are adopted.
        settings: of the program; None: as they are.
        operation: what it is called in the records.
        confirm_within_s: the old policy comes back by itself after so many seconds; 0: never.

    """

    compile: Callable[[Mapping[PolicyMap, int]], Desired]
    operator: Operator
    interfaces: tuple[str, ...] = ()
    hook: Hook | None = None
    attachments: tuple[Attachment, ...] = ()
    sizing: Sizing = field(default_factory=Sizing)
    allow_failing_tests: bool = False
    lifelines: Lifelines = NO_LIFELINES
    allow_lockout: bool = False
    limits: Limits | None = None
    saved: SavedPlan | None = None
    adopt_s: float = 0.0
    debug_program: bool = False
    settings: Settings | None = None
    operation: Operation = Operation.APPLY
    confirm_within_s: int = 0
    keep_program: bool = False


@dataclass(slots=True)
class Transaction:
    """The steps' common ground. A field without a value is set by the step that is named."""

    host: Host
    request: Request
    lock: Lock = field(init=False)
    began: float = field(init=False)
    warnings: list[str] = field(default_factory=list)
    fresh: bool = False
    """Nothing of ours was in the kernel before: all of it can be taken back."""
    flipped: bool = False

    observed: Observed = field(init=False)  # read
    live: SlotContents = field(init=False)  # read
    recognized: SlotContents | None = None  # read: the same, if it is what was seen before
    known: Known = field(init=False)  # read
    desired: Desired = field(init=False)  # compile
    plan: Plan = field(init=False)  # compile
    generation: int = field(init=False)  # compile: the one in force afterwards
    loaded: Loaded | None = None  # load
    standby_before: SlotContents | None = None  # stage
    is_guess: bool = False  # stage: standby_before is remembered, not read
    staged: int = 0
    note_draft: NoteDraft | None = None  # verify
    settings_before: Settings | None = None  # tune

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        operator = self.request.operator
        self.lock = Lock(self.host.run_dir, operator.command, operator.lock_timeout_s)

    def capacities(self) -> Mapping[PolicyMap, int]:
        """Return how many entries will fit each map: maps that are too small are made anew, none shrinks."""
        asked, present = self.request.sizing.policy_capacities(), self.observed.capacities
        if self.observed.loaded and self.request.keep_program:
            return present
        return {name: max(entries, present.get(name, 0)) for name, entries in asked.items()}

    def upgrade(self) -> tuple[str, ...]:
        """Return why what is loaded has to be replaced; empty when it hasn't, or nothing is loaded."""
        if not self.observed.loaded or self.request.keep_program:
            return ()
        return self.host.plane.reasons_to_load(self.request.sizing, debug=self.request.debug_program)

    def wanted(self) -> tuple[Attachment, ...]:
        """Return where the program is to be attached."""
        asked = self.request
        named = wanted_attachments(self.host.plane, self.observed, asked.interfaces, asked.hook)
        wanted = {it.interface: it for it in (*named, *asked.attachments)}
        present = {it.interface for it in self.observed.attachments}
        lost = [it for it in self.known.state.attached if it.interface not in present | wanted.keys()]
        return (*wanted.values(), *(it for it in lost if self.host.plane.has_interface(it.interface)))

    def duration_ms(self) -> int:
        """Return the time since the beginning."""
        return round((time.monotonic() - self.began) * 1000)


def wanted_attachments(
    plane: DataPlane, observed: Observed, interfaces: Sequence[str], hook: Hook | None
) -> tuple[Attachment, ...]:
    """Return where to attach: by the hook that is asked for, else as it is, else as the kernel prefers."""
    present = {attachment.interface: attachment.hook for attachment in observed.attachments}
    return tuple(
        Attachment(name, hook or present.get(name) or plane.preferred_hook())
        for name in sorted(set(interfaces))
    )


@dataclass(frozen=True, slots=True)
class Result:
    """What an apply did.

    Attributes:
        plan: what there was to do.
        desired: what it was made from.
        known: what was in force before.
        generation: in force now.
        staged: entries written to or deleted from the standby slot.
        can_roll_back: the slot that was live is whole and can be gone back to.
        confirm_within_s: seconds to confirm it in, or what was before comes back; 0: nothing to confirm.
        duration_ms: in all.
        warnings: about the environment, for people.

    """

    plan: Plan
    desired: Desired
    known: Known
    generation: int
    staged: int
    can_roll_back: bool
    confirm_within_s: int
    duration_ms: int
    warnings: tuple[str, ...]
