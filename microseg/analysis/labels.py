"""Labels that point at what decides a packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.diagnostics import Label
from microseg.policy.rules import OrderedRule

if TYPE_CHECKING:
    from microseg.policy.rules import Decider


def cause(decider: Decider) -> list[Label]:
    """Return the label on the rule or default that decides a packet; none for a default nobody wrote."""
    if isinstance(decider, OrderedRule):
        return [Label(decider.rule.span, "this rule decides the packet")]
    return [Label(decider.span, "no rule matches, the default decides")] if decider.span else []
