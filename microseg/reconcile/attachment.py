"""Attaching to more interfaces, and ending enforcement (I8: nothing else ever does)."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from microseg.reconcile.errors import GuardError, ReconcileError
from microseg.reconcile.guards import check_kept
from microseg.reconcile.known import recall
from microseg.reconcile.lock import Lock
from microseg.reconcile.observed import read_observed
from microseg.reconcile.records import HistoryEntry, Operation, Outcome, State
from microseg.reconcile.safeguards import NO_LIFELINES, Lifelines
from microseg.reconcile.transaction import wanted_attachments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.reconcile.dataplane import Attachment, Hook
    from microseg.reconcile.known import Known
    from microseg.reconcile.observed import Observed
    from microseg.reconcile.transaction import Host, Operator


@dataclass(frozen=True, slots=True)
class AttachmentResult:
    """What was done: interfaces that changed, all that are attached now, and whether everything is gone."""

    changed: tuple[Attachment, ...]
    now: tuple[Attachment, ...]
    unloaded: bool = False


def attach(
    host: Host,
    operator: Operator,
    interfaces: Sequence[str],
    hook: Hook | None,
    adopt_s: float = 0.0,
    *,
    lifelines: Lifelines = NO_LIFELINES,
) -> AttachmentResult:
    """Enforce the policy in force on more interfaces: on all of them, or on none when one fails.

    Connections in progress are adopted for adopt_s seconds; the lifelines' must be allowed.

    Raises:
        LockHeldError: somebody else is changing this instance.
        GuardError: no policy is in force, or it would cut a lifeline.
        KernelError, OSError: an interface doesn't exist, or the kernel refused; nothing was changed.

    """
    began = time.monotonic()
    with Lock(host.run_dir, operator.command, operator.lock_timeout_s):
        observed = read_observed(host.plane)
        if not observed.judges:
            raise GuardError(
                "no policy is in force; nothing was changed",
                advice=f"microseg apply --interface {' --interface '.join(interfaces)}",
            )
        wanted = wanted_attachments(host.plane, observed, interfaces, hook)
        missing = tuple(it for it in wanted if it not in observed.attachments)
        if missing:
            check_kept(host.plane, observed.generation, lifelines, recall(host.store, observed).names)
            host.plane.adopt_until(observed.boot_time_s + round(adopt_s))
            host.plane.attach(missing)
            _record(host, observed, _Done(Operation.ATTACH, operator, missing, began))
        return AttachmentResult(missing, host.plane.attachments())


def detach(host: Host, operator: Operator, interfaces: Sequence[str] = ()) -> AttachmentResult:
    """End enforcement on these interfaces; on none given: everywhere, and remove everything of ours.

    Raises:
        LockHeldError: somebody else is changing this instance.
        GuardError: one of the interfaces isn't attached; nothing was changed.
        KernelError, OSError: the kernel refused.

    """
    began = time.monotonic()
    with Lock(host.run_dir, operator.command, operator.lock_timeout_s):
        observed = read_observed(host.plane)
        if not interfaces:
            return _detach_everything(host, operator, observed, began)
        recorded = recall(host.store, observed, with_names=False).state.attached
        attached = {attachment.interface: attachment for attachment in (*recorded, *observed.attachments)}
        unknown = [name for name in interfaces if name not in attached]
        if unknown:
            raise GuardError(
                f"{', '.join(unknown)}: not attached; nothing was changed",
                advice=f"attached are: {', '.join(attached) or 'none'}",
            )
        leaving = tuple(attached[name] for name in sorted(set(interfaces)))
        host.plane.detach([it.interface for it in leaving if it in observed.attachments])
        _record(host, observed, _Done(Operation.DETACH, operator, leaving, began))
        return AttachmentResult(leaving, host.plane.attachments())


def _detach_everything(host: Host, operator: Operator, observed: Observed, began: float) -> AttachmentResult:
    host.plane.unload()
    if not observed.loaded and not observed.attachments:
        return AttachmentResult((), ())
    _record(host, observed, _Done(Operation.DETACH, operator, observed.attachments, began, unloaded=True))
    return AttachmentResult(observed.attachments, (), unloaded=True)


@dataclass(frozen=True, slots=True)
class _Done:
    operation: Operation
    operator: Operator
    changed: Sequence[Attachment]
    began: float
    unloaded: bool = False


def _state(host: Host, known: Known, done: _Done) -> State:
    """Return what is recorded: what is detached doesn't come back by a restart."""
    if done.unloaded:
        return State(None, known.applied)
    attached = known.state.attached_with(host.plane.attachments())
    if done.operation is Operation.DETACH:
        attached = tuple(
            it for it in attached if it.interface not in {gone.interface for gone in done.changed}
        )
    return replace(known.state, attached=attached)


def _record(host: Host, observed: Observed, done: _Done) -> None:
    """Write down what was done. It stands even if that fails: it is what was asked for."""
    names = ", ".join(attachment.interface for attachment in done.changed)
    try:
        warned = host.store.set_aside()
        known = recall(host.store, observed, with_names=False)
        host.store.write_state(_state(host, known, done))
        entry = HistoryEntry(
            host.now(),
            done.operator.who,
            done.operation,
            Outcome.DONE,
            observed.generation,
            known.revision,
            observed.configs[observed.live].digest,
            round((time.monotonic() - done.began) * 1000),
            "; ".join([names or "no interface was attached", *warned]),
        )
        host.store.append_history(entry)
    except OSError as error:
        raise ReconcileError(
            f"the {done.operation.value} is done ({names}), but could not be recorded: {error}",
            advice="make room or repair the state directory; microseg status shows what the kernel holds",
        ) from error
