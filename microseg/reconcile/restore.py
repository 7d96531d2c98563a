"""After a restart: the last confirmed policy again, from what was recorded of it, without its text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from microseg.abi import PolicyMap
from microseg.reconcile import guards
from microseg.reconcile.apply import STEPS, StepName, apply
from microseg.reconcile.attachment import attach
from microseg.reconcile.desired import Desired
from microseg.reconcile.errors import GuardError, RestoreError, StateFileError
from microseg.reconcile.lock import Lock
from microseg.reconcile.observed import read_observed
from microseg.reconcile.records import Names, Operation
from microseg.reconcile.revision import describe
from microseg.reconcile.transaction import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from microseg.abi import SlotContents
    from microseg.abi_settings import Settings
    from microseg.reconcile.dataplane import Attachment, Sizing
    from microseg.reconcile.records import Applied
    from microseg.reconcile.transaction import Host, Operator, Transaction


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What a restart brought back.

    Attributes:
        generation: in force now; 0: nothing was ever confirmed, or enforcement was ended by detach.
        confirmed: what was brought back; None: nothing was, since a policy was in force already, or none is
            recorded.
        attached: where it was attached to now.
        missing: interfaces it was attached to that don't exist.
        warnings: about the environment, for people.

    """

    generation: int
    confirmed: Applied | None
    attached: tuple[Attachment, ...] = ()
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Restoration:
    """How to bring it back.

    Attributes:
        operator: who asks.
        sizing: capacities of maps that have to be made; they are made large enough.
        adopt_s: for how long after attaching connections in progress are adopted.
        settings: of the program; None: as it makes them.
        announce: is told each step as it begins.

    """

    operator: Operator
    sizing: Sizing
    adopt_s: float
    settings: Settings | None
    announce: Callable[[StepName], None]


def restore(host: Host, how: Restoration) -> RestoreResult:
    """Put the last confirmed policy in force, and attach where it was attached.

    A policy that is in force is left alone: only what is missing is attached.

    Raises:
        LockHeldError: somebody else is changing this instance.
        RestoreError: what was recorded can't be used; it was set aside.
        GuardError: somebody else put a policy in force meanwhile.
        KernelError, OSError: what is there could not be read; nothing was changed.
        ApplyError: a step failed and was taken back.

    """
    with Lock(host.run_dir, how.operator.command, how.operator.lock_timeout_s):
        warnings = host.store.set_aside()
    state, observed = host.store.read_state(), read_observed(host.plane)
    wanted = tuple(it for it in state.attached if host.plane.has_interface(it.interface))
    missing = tuple(it.interface for it in state.attached if it not in wanted)
    if observed.generation:
        lacking = tuple(it for it in wanted if it not in observed.attachments)
        for it in lacking:
            attach(host, how.operator, [it.interface], it.hook, how.adopt_s)
        return RestoreResult(
            observed.generation, None, attached=lacking, missing=missing, warnings=tuple(warnings)
        )
    if state.confirmed is None:
        if warnings:
            raise _unusable(f"which policy was confirmed isn't known any more: {'; '.join(warnings)}", "")
        return RestoreResult(0, None)
    found: list[str] = []
    request = _request(host, how, state.confirmed, wanted, found)
    result = apply(host, request, SEQUENCE, how.announce)
    return RestoreResult(
        result.generation, state.confirmed, wanted, missing, (*warnings, *found, *result.warnings)
    )


def _request(
    host: Host, how: Restoration, confirmed: Applied, wanted: tuple[Attachment, ...], warnings: list[str]
) -> Request:
    """Ask for what was confirmed; warnings take what is to be said of it."""
    contents = _read_image(host, confirmed)
    desired = Desired(contents, _read_names(host, confirmed, warnings), confirmed.revision)
    return Request(
        lambda _: desired,
        how.operator,
        attachments=wanted,
        sizing=_large_enough(how.sizing, contents),
        adopt_s=how.adopt_s,
        settings=how.settings,
        operation=Operation.RESTORE,
    )


def _guard(tx: Transaction) -> None:
    """Restore only to a kernel that holds no policy; its interfaces may come later."""
    if tx.observed.generation:
        raise GuardError(
            f"somebody put generation {tx.observed.generation} in force meanwhile; nothing was changed",
            advice="microseg status",
        )
    guards.check_capacity(tx.desired.contents, tx.capacities())


SEQUENCE = tuple(replace(step, run=_guard) if step.name is StepName.GUARD else step for step in STEPS)
"""The steps of an apply, without the guards against what somebody wrote."""


def _read_image(host: Host, confirmed: Applied) -> SlotContents:
    try:
        return host.store.read_image(confirmed.generation, confirmed.digest)
    except StateFileError as error:
        aside = host.store.set_image_aside(confirmed.generation)
        kept = f"; it was set aside as {aside}" if aside else ""
        known = f": the policy that was confirmed is {describe(confirmed.revision)}"
        raise _unusable(f"the confirmed policy can't be restored: {error.message}{kept}", known) from error


def _unusable(message: str, known: str) -> RestoreError:
    stands = "no policy is in force: everything passes"
    return RestoreError(message, stands=stands, advice=f"microseg apply{known}")


def _read_names(host: Host, confirmed: Applied, warnings: list[str]) -> Names:
    """Return what the numbers mean; without that, the policy is the same."""
    try:
        note = host.store.read_note(confirmed.generation, confirmed.digest)
    except StateFileError as error:
        warnings.append(error.message)
        return Names()
    return note.names if note else Names()


def _large_enough(sizing: Sizing, contents: SlotContents) -> Sizing:
    """Return the sizing, raised where the policy needs more: its maps were larger when it was confirmed."""
    needs = {name: len(entries) for name, entries in contents.maps.items()}
    return replace(
        sizing,
        addresses=max(sizing.addresses, needs[PolicyMap.IPCACHE4], needs[PolicyMap.IPCACHE6]),
        services=max(sizing.services, needs[PolicyMap.SERVICE]),
        rules=max(sizing.rules, needs[PolicyMap.POLICY]),
    )
