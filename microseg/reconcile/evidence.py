"""What the analysis of a policy hands to the guards and to the probe, as plain values.

Who compiles in another process has them from there, and imports no analysis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Verdict
    from microseg.reconcile.desired import Desired
    from microseg.reconcile.safeguards import Lifelines


@dataclass(frozen=True, slots=True)
class Expected:
    """What the policy's text says about a packet.

    Attributes:
        packet: which.
        verdict: what has to come of it.
        rule: id of the rule that decides, 0 for the default.
        log: whether it is logged.
        by: the rule, or the default, with its place.

    """

    packet: Packet
    verdict: Verdict
    rule: int
    log: bool
    by: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a policy.

    Attributes:
        cuts: which lifelines it would cut, in words.
        expected: packets to ask the kernel about.

    """

    cuts: tuple[str, ...] = ()
    expected: tuple[Expected, ...] = ()


def cuts(desired: Desired, lifelines: Lifelines) -> tuple[str, ...]:
    """Return which lifelines a policy would cut; none when only its entries are known."""
    if desired.evidence is not None:
        return desired.evidence.cuts
    if desired.compilation is None:
        return ()
    from microseg.reconcile import proving  # noqa: PLC0415  who has no text to compile needs no analysis

    return proving.cuts(desired.compilation.ruleset, lifelines)


def expected(desired: Desired, lifelines: Lifelines) -> tuple[Expected, ...]:
    """Return packets to ask the kernel about; none when only the entries are known."""
    if desired.evidence is not None:
        return desired.evidence.expected
    if desired.compilation is None:
        return ()
    from microseg.reconcile import proving  # noqa: PLC0415  as above

    return proving.expected(desired.compilation, lifelines)
