"""What is in force, where, since when, and whether the records agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.abi import PolicyMap
from microseg.reconcile.errors import GuardError
from microseg.reconcile.known import Known, recall
from microseg.reconcile.observed import Observed, actual_digest, read_live
from microseg.reconcile.rollback import check_way_back

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microseg.abi import SlotContents
    from microseg.reconcile.records import HistoryEntry
    from microseg.reconcile.transaction import Host


@dataclass(frozen=True, slots=True)
class Status:
    """Everything `microseg status` shows.

    Attributes:
        observed: what the kernel says.
        known: what is recorded of it.
        entries: how many entries each map of the live slot holds; empty when no policy is in force.
        altered: the live slot's entries are not those that were staged.
        way_back: generation `rollback` would go to; 0: none.
        last: newest line of the history, None when there is none.

    """

    observed: Observed
    known: Known
    entries: Mapping[PolicyMap, int]
    altered: bool
    way_back: int
    last: HistoryEntry | None


def read_status(host: Host) -> Status:
    """Read it all, without the lock; raises KernelError or OSError."""
    observed, live = read_live(host.plane)
    known = recall(host.store, observed, with_names=False)
    history = host.store.read_history()
    entries = {name: len(live.maps[name]) for name in PolicyMap} if observed.generation else {}
    return Status(
        observed,
        known,
        entries,
        observed.generation > 0 and _is_altered(observed, live),
        _way_back(observed),
        history[-1] if history else None,
    )


def _is_altered(observed: Observed, live: SlotContents) -> bool:
    return not observed.judges or actual_digest(live) != observed.configs[observed.live].digest


def _way_back(observed: Observed) -> int:
    try:
        check_way_back(observed)
    except GuardError:
        return 0
    return observed.configs[observed.standby].generation
