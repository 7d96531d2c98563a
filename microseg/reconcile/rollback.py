"""Going back to the generation of the other slot: one store, whatever the size of the policy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.abi import Root
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.errors import ApplyError, GuardError, ReconcileError
from microseg.reconcile.known import recall
from microseg.reconcile.lock import Lock
from microseg.reconcile.observed import Observed, is_complete, read_observed
from microseg.reconcile.records import Applied, HistoryEntry, Operation, Outcome, State
from microseg.reconcile.revision import describe

if TYPE_CHECKING:
    from microseg.reconcile.revision import Revision
    from microseg.reconcile.transaction import Host, Operator


@dataclass(frozen=True, slots=True)
class RollbackResult:
    """What a rollback did: generations and revisions (None: unknown or outside git) before and now.

    Generation 0 is no policy: an unconfirmed first apply was taken back.
    """

    before: int
    before_revision: Revision | None
    generation: int
    revision: Revision | None
    duration_ms: int
    warnings: tuple[str, ...]


def roll_back(host: Host, operator: Operator) -> RollbackResult:
    """Put the previous generation in force again; of a first apply that waits to be confirmed: no policy.

    Raises:
        LockHeldError: somebody else is changing this instance.
        GuardError: there is nothing to go back to; nothing was changed.
        KernelError, OSError: what is there could not be read; nothing was changed.
        ApplyError: it failed and was taken back.

    """
    began = time.monotonic()
    with Lock(host.run_dir, operator.command, operator.lock_timeout_s):
        warnings = host.store.set_aside()
        observed = read_observed(host.plane)
        check_way_back(observed)
        known = recall(host.store, observed, with_names=False)
        target = Observed(loaded=True, root=_target(observed), configs=observed.configs)
        past = recall(host.store, target, with_names=False)
        _switch(host, observed, target.root)
        result = RollbackResult(
            observed.generation,
            known.revision,
            target.generation,
            past.revision,
            round((time.monotonic() - began) * 1000),
            tuple(warnings),
        )
        _record(host, operator, result, target)
    return result


def check_way_back(observed: Observed) -> None:
    """Refuse when there is no older whole generation in the other slot; raises GuardError."""
    if not observed.generation:
        raise GuardError(
            "no policy is in force, so there is nothing to go back from; nothing was changed",
            advice="microseg apply",
        )
    other = observed.configs[observed.standby]
    if observed.confirm_left_s and not other.generation:
        return
    if not is_complete(other):
        raise GuardError(
            f"there is nothing to go back to: generation {observed.generation} is in force, "
            "and the other slot holds no whole policy; nothing was changed",
            advice="apply an earlier revision (microseg apply --rev REV), "
            "or end enforcement (microseg detach: everything passes)",
        )
    if other.generation > observed.generation:
        raise GuardError(
            f"there is nothing to go back to: generation {observed.generation} is in force, and the other "
            f"slot holds {other.generation}, which is newer and was rolled back; nothing was changed",
            advice="apply the revision you want: microseg apply --rev REV",
        )


def _target(observed: Observed) -> Root:
    return Root(observed.configs[observed.standby].generation)


def _switch(host: Host, observed: Observed, root: Root) -> None:
    """Switch with one store (I1), or leave the root word as it was (I3)."""
    try:
        host.plane.write_root(root)
        host.plane.wait_for_readers()
    except BaseException as error:
        stands = f"generation {observed.generation} is in force, as before"
        leftovers = []
        try:
            host.plane.write_root(observed.root)
        except KernelError as second:
            leftovers.append(f"flip: {second}")
            stands = "which generation is in force is uncertain; see microseg status"
        if not isinstance(error, KernelError):
            raise
        raise ApplyError("flip", error, stands, leftovers, error.advice or "microseg status") from error


def _record(host: Host, operator: Operator, result: RollbackResult, target: Observed) -> None:
    """Write down what is in force now. The switch stands even if that fails: it is what was asked for."""
    now, digest = host.now(), target.configs[target.live].digest if target.generation else b""
    current = None
    if target.generation:
        current = Applied(result.generation, digest, result.revision, now, operator.who, Operation.ROLLBACK)
    entry = HistoryEntry(
        now,
        operator.who,
        Operation.ROLLBACK,
        Outcome.DONE,
        result.generation,
        result.revision,
        digest,
        result.duration_ms,
        f"from generation {result.before}, {describe(result.before_revision)}",
    )
    try:
        attached = host.store.read_state().attached
        host.store.write_state(State(current, None, confirmed=current, attached=attached))
        host.store.append_history(entry)
    except OSError as error:
        raise ReconcileError(
            f"the rollback is done ({in_force(result.generation)}), but could not be recorded: {error}",
            advice="make room or repair the state directory; microseg status shows what the kernel holds",
        ) from error


def in_force(generation: int) -> str:
    """Return what is in force, for a sentence."""
    return (
        f"generation {generation} is in force" if generation else "no policy is in force: everything passes"
    )
