"""The guard against changing more at once than anybody meant to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.reconcile.errors import GuardError
from microseg.reconcile.guards import BLAST_FLAG

if TYPE_CHECKING:
    from microseg.abi import SlotContents
    from microseg.reconcile.dataplane import DataPlane
    from microseg.reconcile.desired import Desired
    from microseg.reconcile.plan import Plan
    from microseg.reconcile.safeguards import Limits

FEW_ENTRIES = 100
"""So many entries may always change: of a small policy every change is a large share."""
FEW_SESSIONS = 10


def check(plane: DataPlane, plan: Plan, desired: Desired, live: SlotContents, limits: Limits) -> None:
    """Refuse a plan beyond the limits, unless no policy is in force yet; raises GuardError."""
    if plan.observed is None or not plan.replaces_policy:
        return
    changed = len(plan.changes)
    created = sum(counts.create for counts in plan.counts().values())
    entries = live.entry_count() + created
    if changed > FEW_ENTRIES and _percent(changed, entries) > limits.entries_percent:
        raise _refusal(
            f"{changed} of {entries} entries would change",
            changed,
            entries,
            limits.entries_percent,
            "entries",
        )
    if desired.compilation is None or limits.sessions_percent >= 100:
        return
    from microseg.reconcile import effect  # noqa: PLC0415  who has no text to compile needs no analysis

    sessions = effect.cut(desired, plane.sessions(), plan.old_names)
    cut = len(sessions.cut)
    if cut > FEW_SESSIONS and _percent(cut, sessions.live) > limits.sessions_percent:
        first = sessions.cut[0]
        by = f", by {first.after.text} at {first.after.place}" if first.after else ""
        raise _refusal(
            f"{cut} of {sessions.live} live sessions would be cut, such as {first.packet}{by}",
            cut,
            sessions.live,
            limits.sessions_percent,
            "sessions",
        )


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _refusal(what: str, part: int, whole: int, limit: float, name: str) -> GuardError:
    return GuardError(
        f"{what}: {_percent(part, whole):.0f} %, and {limit:g} % may change at once; nothing was changed",
        advice=f"see microseg plan; if it is meant: {BLAST_FLAG}, or raise {name}_percent under [guards]",
    )
