"""What the kernel says, as the agent decides by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.gitops.record import DriftFinding, KernelView
from microseg.reconcile.drift import Drift, read_drift
from microseg.reconcile.observed import is_complete, read_observed

if TYPE_CHECKING:
    from microseg.reconcile.dataplane import DataPlane
    from microseg.reconcile.drift import Finding
    from microseg.reconcile.observed import Observed
    from microseg.reconcile.transaction import Host

MOST_TOLD = 10
"""Differences that are told one by one; `microseg drift` shows all."""


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
    """Compare everything in the kernel with what was applied; raises KernelError or OSError."""
    findings = read_drift(host).findings
    ours = [_text(each) for each in findings if each.drift is not Drift.FILTER_SHADOWED]
    others = [_text(each) for each in findings if each.drift is Drift.FILTER_SHADOWED]
    more = [f"and {len(ours) - MOST_TOLD} more"] if len(ours) > MOST_TOLD else []
    return DriftFinding(host.now(), (*ours[:MOST_TOLD], *more), tuple(others[:MOST_TOLD]))


def _text(finding: Finding) -> str:
    """Return a difference in one line, with the first rule it concerns."""
    place = f"of {finding.rules[0].place}" if finding.rules else ""
    return " ".join(part for part in (finding.drift.value, finding.subject, finding.detail, place) if part)


def _went_back(observed: Observed) -> int:
    """Return the newest whole generation when an older one, or none, is in force; 0: it is the newest."""
    newest = max((each.generation for each in observed.configs if is_complete(each)), default=0)
    return newest if newest > observed.generation else 0
