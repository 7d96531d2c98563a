"""What the kernel says, as the agent decides by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.gitops.record import DriftFinding, KernelView
from microseg.reconcile.observed import actual_digest, is_complete, read_live, read_observed

if TYPE_CHECKING:
    from microseg.reconcile.dataplane import DataPlane
    from microseg.reconcile.observed import Observed
    from microseg.reconcile.transaction import Host


def view_kernel(plane: DataPlane) -> KernelView:
    """Return what is in force; raises KernelError or OSError."""
    observed = read_observed(plane)
    return KernelView(
        generation=observed.generation,
        digest=observed.configs[observed.live].digest if observed.judges else b"",
        went_back=_went_back(observed),
        confirm_left_s=observed.confirm_left_s,
        attached=tuple(attachment.interface for attachment in observed.attachments),
    )


def compare_kernel(host: Host) -> DriftFinding:
    """Compare all entries in the kernel with what was staged; raises KernelError or OSError."""
    observed, live = read_live(host.plane)
    differences = []
    if observed.generation and not observed.judges:
        differences.append("the slot in force belongs to another generation: every packet is dropped")
    elif observed.generation and actual_digest(live) != observed.configs[observed.live].digest:
        differences.append("the entries are not those that were staged")
    return DriftFinding(host.now(), tuple(differences))


def _went_back(observed: Observed) -> int:
    """Return the newest whole generation when an older one, or none, is in force; 0: it is the newest."""
    newest = max((each.generation for each in observed.configs if is_complete(each)), default=0)
    return newest if newest > observed.generation else 0
