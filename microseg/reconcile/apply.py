"""The transaction: all of the new policy or all of the old.

An apply is the sequence STEPS. Nothing it does before FLIP can be seen by a packet, and FLIP is one 8-byte
store (I1). When a step fails, what was begun is taken back in reverse order, so that the live slot and the
root word are what they were (I3).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from microseg.reconcile import steps, tuning
from microseg.reconcile.counters import forget_unknown_rules
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.errors import ApplyError, ReconcileError, StateFileError
from microseg.reconcile.observed import Observed, is_complete, read_observed
from microseg.reconcile.records import Outcome
from microseg.reconcile.revision import describe
from microseg.reconcile.transaction import Host, Request, Result, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from microseg.reconcile.plan import Plan

KEEP_PROGRAM_FLAG = "--keep-program"

FORESEEN = (KernelError, OSError, ReconcileError)
"""What may go wrong on a healthy installation; everything else is our own mistake and stays as it is."""


class StepName(Enum):
    """What an apply consists of; the value is the word that is shown."""

    LOCK = "lock"
    READ = "read"
    COMPILE = "compile"
    GUARD = "guard"
    LOAD = "load"
    STAGE = "stage"
    VERIFY = "verify"
    PROBE = "probe"
    NOTE = "note"
    TUNE = "tune"
    ATTACH = "attach"
    FLIP = "flip"
    WAIT = "wait"
    RECORD = "record"


def _always(plan: Plan) -> bool:
    del plan
    return True


def _replaces(plan: Plan) -> bool:
    return plan.replaces_policy


def _loads(plan: Plan) -> bool:
    return plan.load


def _tunes(plan: Plan) -> bool:
    return plan.load or bool(plan.settings)


def _attaches(plan: Plan) -> bool:
    return bool(plan.attach)


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        name: what it is called.
        run: what it does.
        undo: what takes it back, also when it failed half-way; None when there's nothing to take back.
        when: whether a plan needs it; None before there is a plan. Those steps touch nothing, and their
            errors are passed on as they are.

    """

    name: StepName
    run: Callable[[Transaction], None]
    undo: Callable[[Transaction], None] | None = None
    when: Callable[[Plan], bool] | None = None


STEPS: tuple[Step, ...] = (
    Step(StepName.LOCK, steps.lock),
    Step(StepName.READ, steps.read),
    Step(StepName.COMPILE, steps.compile_policy),
    Step(StepName.GUARD, steps.guard),
    Step(StepName.LOAD, steps.load, undo=steps.unload, when=_loads),
    Step(StepName.STAGE, steps.stage, undo=steps.unstage, when=_replaces),
    Step(StepName.VERIFY, steps.verify, undo=steps.drop_note_draft, when=_replaces),
    Step(StepName.PROBE, steps.probe, when=_replaces),
    Step(StepName.NOTE, steps.note, undo=steps.forget, when=_replaces),
    Step(StepName.TUNE, tuning.tune, undo=tuning.put_back, when=_tunes),
    Step(StepName.ATTACH, steps.attach, undo=steps.detach, when=_attaches),
    Step(StepName.FLIP, steps.flip, undo=steps.flip_back, when=_replaces),
    Step(StepName.WAIT, steps.wait, when=_replaces),
    Step(StepName.RECORD, steps.record, when=_always),
)

PROPOSAL = (StepName.READ, StepName.COMPILE)
"""The steps that make a plan, and nothing more."""


def propose(host: Host, request: Request) -> Transaction:
    """Return what an apply would do now, without the lock; raises what READ and COMPILE raise."""
    tx = Transaction(host, request)
    for step in STEPS:
        if step.name in PROPOSAL:
            step.run(tx)
    return tx


def refusal(tx: Transaction) -> ReconcileError | None:
    """Return why an apply of a proposal would be refused now, None when it wouldn't."""
    try:
        steps.guard(tx)
    except ReconcileError as error:
        return error
    return None


def _silent(_: StepName) -> None:
    pass


def apply(
    host: Host,
    request: Request,
    sequence: Sequence[Step] = STEPS,
    announce: Callable[[StepName], None] = _silent,
) -> Result:
    """Bring the kernel to the desired policy.

    Args:
        host: the instance.
        request: what is asked for.
        sequence: the steps.
        announce: is told each step as it begins.

    Raises:
        LockHeldError: somebody else is changing this instance.
        PolicyError, GuardError, CapacityError, NoInterfaceError: refused; the kernel was not touched.
        KernelError, OSError: what is there could not be read; the kernel was not touched.
        ApplyError: a step failed and was taken back.

    """
    tx = Transaction(host, request)
    begun: list[Step] = []
    try:
        _run(tx, sequence, begun, announce)
    except BaseException as error:
        leftovers = _take_back(tx, begun)
        if isinstance(error, FORESEEN):
            _record_failure(tx, begun, error)
            if begun[-1].when is not None:
                raise _failure(tx, begun[-1].name, error, leftovers) from error
            _say_what_stands(tx, begun, error)
        raise
    else:
        _clean_up(tx)
    finally:
        tx.lock.release()
    return _result(tx)


def _run(
    tx: Transaction, sequence: Sequence[Step], begun: list[Step], announce: Callable[[StepName], None]
) -> None:
    for step in sequence:
        if step.when is None or step.when(tx.plan):
            begun.append(step)
            announce(step.name)
            step.run(tx)


def _clean_up(tx: Transaction) -> None:
    """Remove what upgrades, killed applies and old policies left; what can't go now goes next time."""
    with contextlib.suppress(KernelError, OSError, StateFileError):
        if tx.host.plane.is_loaded():
            tx.host.plane.remove_leftovers()
            forget_unknown_rules(tx.host)


def _take_back(tx: Transaction, begun: Sequence[Step]) -> list[str]:
    """Undo what was begun, the last first; return what could not be undone."""
    leftovers = []
    for step in reversed(begun):
        if step.undo is None:
            continue
        try:
            step.undo(tx)
        except FORESEEN as error:
            leftovers.append(f"{step.name.value}: {error}")
    return leftovers


def _record_failure(tx: Transaction, begun: Sequence[Step], error: Exception) -> None:
    """Add the attempt to the history, once the kernel was read. If that fails, the error matters more."""
    names = {step.name for step in begun}
    if StepName.COMPILE not in names:
        return
    desired = tx.desired if StepName.GUARD in names else None
    outcome = Outcome.REFUSED if begun[-1].when is None else Outcome.FAILED
    detail = f"{begun[-1].name.value}: {error}"
    entry = steps.history_entry(tx, outcome, desired, tx.observed.generation, detail)
    with contextlib.suppress(OSError):
        tx.host.store.append_history(entry)


def _say_what_stands(tx: Transaction, begun: Sequence[Step], error: Exception) -> None:
    """Add to a refusal what it left alone, once that has been read."""
    if isinstance(error, ReconcileError) and any(step.name is StepName.COMPILE for step in begun):
        error.stands = _stands(tx, tx.observed)


def _failure(tx: Transaction, step: StepName, cause: Exception, leftovers: list[str]) -> ApplyError:
    try:
        now = read_observed(tx.host.plane)
    except KernelError as error:
        stands = f"what is in force could not be read: {error}"
    else:
        stands = _stands(tx, now)
    advice = cause.advice if isinstance(cause, (KernelError, ReconcileError)) else ""
    advice = advice or "remove the cause, then run microseg apply again"
    if tx.plan.upgrade and step is StepName.LOAD:
        advice += f"; to apply by the program there is: {KEEP_PROGRAM_FLAG}"
    return ApplyError(step.value, cause, stands, leftovers, advice + _kept_log(tx, cause))


def _kept_log(tx: Transaction, cause: Exception) -> str:
    """Keep the compiler's or verifier's words; return where, for a sentence."""
    if isinstance(cause, KernelError) and cause.log:
        with contextlib.suppress(OSError):
            return f"; all of that is in {tx.host.store.write_log(cause.log)}"
    return ""


def _stands(tx: Transaction, now: Observed) -> str:
    """Return a sentence about what is in force after a failure."""
    if now.generation != tx.observed.generation:
        before = tx.observed.generation
        return f"generation {now.generation} is in force, not {before} as before; see microseg status"
    if not now.generation:
        return "as before, no policy is in force: everything passes"
    return f"generation {now.generation} is in force, as before: {describe(tx.known.revision)}"


def _result(tx: Transaction) -> Result:
    before = tx.observed.configs[tx.observed.live]
    return Result(
        plan=tx.plan,
        desired=tx.desired,
        known=tx.known,
        generation=tx.generation,
        staged=tx.staged,
        can_roll_back=tx.plan.replaces_policy and tx.observed.judges and is_complete(before),
        confirm_within_s=tx.request.confirm_within_s if tx.plan.replaces_policy else 0,
        duration_ms=tx.duration_ms(),
        warnings=tuple(tx.warnings),
    )
