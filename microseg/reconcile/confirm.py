"""Confirming an apply, before the program goes back by itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from microseg.abi import Root
from microseg.reconcile.errors import GuardError, ReconcileError
from microseg.reconcile.known import recall
from microseg.reconcile.lock import Lock
from microseg.reconcile.observed import read_observed
from microseg.reconcile.records import HistoryEntry, Operation, Outcome
from microseg.reconcile.rollback import in_force

if TYPE_CHECKING:
    from microseg.reconcile.known import Known
    from microseg.reconcile.observed import Observed
    from microseg.reconcile.revision import Revision
    from microseg.reconcile.transaction import Host, Operator


@dataclass(frozen=True, slots=True)
class ConfirmResult:
    """What was confirmed.

    Attributes:
        generation: in force, and nothing takes it back by itself any more.
        revision: of its text; None outside git, or unknown.
        left_s: how many seconds were left; 0: nothing waited to be confirmed.
        warnings: about the environment, for people.

    """

    generation: int
    revision: Revision | None
    left_s: int
    warnings: tuple[str, ...]


def confirm(host: Host, operator: Operator) -> ConfirmResult:
    """Keep the policy in force for good: one store.

    Raises:
        LockHeldError: somebody else is changing this instance.
        GuardError: it is too late, or no policy is in force; nothing was changed.
        KernelError, OSError: the kernel refused; it still waits to be confirmed.

    """
    began = time.monotonic()
    with Lock(host.run_dir, operator.command, operator.lock_timeout_s):
        warnings = host.store.set_aside()
        observed = read_observed(host.plane)
        _check(observed)
        known = recall(host.store, observed, with_names=False)
        if observed.confirm_left_s:
            host.plane.write_root(Root(observed.generation))
            _record(host, operator, observed, known, began)
        return ConfirmResult(observed.generation, known.revision, observed.confirm_left_s, tuple(warnings))


def _check(observed: Observed) -> None:
    if observed.reverted:
        raise GuardError(
            f"it is too late: generation {observed.root.generation} was not confirmed in time, "
            f"and the program went back by itself; {in_force(observed.generation)}",
            advice="microseg apply --confirm-within 5m puts it in force again",
        )
    if not observed.generation:
        raise GuardError("no policy is in force, so there is nothing to confirm", advice="microseg apply")


def _record(host: Host, operator: Operator, observed: Observed, known: Known, began: float) -> None:
    """Write down that it is confirmed: from now on a restart brings it back."""
    entry = HistoryEntry(
        host.now(),
        operator.who,
        Operation.CONFIRM,
        Outcome.DONE,
        observed.generation,
        known.revision,
        observed.configs[observed.live].digest,
        round((time.monotonic() - began) * 1000),
        f"{observed.confirm_left_s} s before it would have gone back",
    )
    try:
        host.store.write_state(replace(known.state, current=known.applied, confirmed=known.applied))
        host.store.append_history(entry)
    except OSError as error:
        raise ReconcileError(
            f"generation {observed.generation} is confirmed, but that could not be recorded, "
            f"so a restart would bring back an earlier one: {error}",
            advice="make room or repair the state directory, then microseg apply records it",
        ) from error
