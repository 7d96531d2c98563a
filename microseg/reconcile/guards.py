"""What refuses an apply before the kernel is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.abi import PolicyMap
from microseg.policy.frames import write_frame
from microseg.reconcile.errors import CapacityError, GuardError, NoInterfaceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microseg.abi import SlotContents
    from microseg.reconcile.dataplane import Attachment, DataPlane
    from microseg.reconcile.desired import Desired
    from microseg.reconcile.observed import Observed
    from microseg.reconcile.records import Names
    from microseg.reconcile.safeguards import Lifelines

SIZING_KEYS = {
    PolicyMap.IPCACHE4: "addresses",
    PolicyMap.IPCACHE6: "addresses",
    PolicyMap.SERVICE: "services",
    PolicyMap.POLICY: "rules",
}
"""Where microseg.toml sizes each map, under [maps]."""

TESTS_FLAG = "--allow-failing-tests"
LOCKOUT_FLAG = "--allow-lockout"
BLAST_FLAG = "--allow-blast-radius"


def check_confirm(observed: Observed) -> None:
    """Refuse while the other slot is the way back of an unconfirmed apply; raises GuardError."""
    if observed.confirm_left_s:
        raise GuardError(
            f"generation {observed.generation} waits for its confirmation, "
            f"another {observed.confirm_left_s} s, "
            "and the other slot is its way back; nothing was changed",
            advice="microseg confirm, or microseg rollback; then apply again",
        )


def check_return(observed: Observed, confirm_within_s: int) -> None:
    """Refuse to promise a return to what isn't whole; raises GuardError."""
    if confirm_within_s and observed.configs[observed.live].generation != observed.generation:
        raise GuardError(
            "the slot in force is not whole, so nothing could come back by itself; nothing was changed",
            advice="microseg apply, without --confirm-within",
        )


def check_interfaces(observed: Observed, wanted: Sequence[Attachment]) -> None:
    """Refuse to enforce a policy nowhere; raises NoInterfaceError."""
    if not observed.attachments and not wanted:
        raise NoInterfaceError(
            "no interface is named, and the program isn't attached anywhere; nothing was changed",
            advice='name one: --interface eth0, or interfaces = ["eth0"] in microseg.toml',
        )


def check_capacity(contents: SlotContents, capacities: Mapping[PolicyMap, int]) -> None:
    """Refuse what doesn't fit a map; raises CapacityError."""
    lacking = [name for name in PolicyMap if len(contents.maps[name]) > capacities[name]]
    if not lacking:
        return
    needs = "; ".join(
        f"{name.value} needs {len(contents.maps[name])} entries and holds {capacities[name]}"
        for name in lacking
    )
    keys = " and ".join(dict.fromkeys(SIZING_KEYS[name] for name in lacking))
    raise CapacityError(
        f"MS403: the policy doesn't fit the kernel's maps: {needs}; nothing was changed",
        advice=f"raise {keys} under [maps] in microseg.toml; the next microseg apply makes the maps larger "
        "and keeps the sessions",
    )


def check_tests(desired: Desired, *, allowed: bool) -> None:
    """Refuse a policy whose own tests fail; raises GuardError."""
    if not desired.failures or allowed:
        return
    count = len(desired.failures)
    first = desired.failures[0]
    fail = "policy test fails" if count == 1 else "policy tests fail"
    raise GuardError(
        f"{count} {fail}, the first at {first.span}: {first.message}; nothing was changed",
        advice=f"microseg test shows them all; to apply nevertheless: {TESTS_FLAG}",
    )


def check_cuts(cuts: Sequence[str]) -> None:
    """Refuse a policy that cuts a lifeline; raises GuardError."""
    if cuts:
        more = f" (and {len(cuts) - 1} more)" if len(cuts) > 1 else ""
        raise _lockout(f"{cuts[0]}{more}")


def check_kept(plane: DataPlane, generation: int, lifelines: Lifelines, names: Names) -> None:
    """Ask the kernel, by a slot that judges nothing yet, whether these stay possible; raises GuardError."""
    if not lifelines.kept:
        return
    answers = plane.judge([write_frame(kept.packet) for kept in lifelines.kept], generation)
    for kept, answer in zip(lifelines.kept, answers, strict=True):
        if answer.verdict is not None and not answer.verdict.passes:
            rule = names.rules.get(answer.rule)
            by = f"`{rule.text}` at {rule.place}" if rule and rule.place else "the default"
            raise _lockout(f"{kept.name} ({kept.packet}) gets {answer.verdict.name.lower()} by {by}")


def _lockout(what: str) -> GuardError:
    """Return the refusal to cut somebody off."""
    return GuardError(
        f"it would lock you out: {what}; nothing was changed",
        advice="allow it ahead of that; to cut it nevertheless: "
        f"{LOCKOUT_FLAG}, best with --confirm-within 5m",
    )
