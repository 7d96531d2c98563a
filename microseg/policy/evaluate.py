"""The reference evaluator: what a policy means, written to be read, not to be fast.

Everything else (compiler, kernel program, analysis) is tested against this page (I4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microseg.policy.packet import Packet
    from microseg.policy.rules import Decider, OrderedRule, Rule, Ruleset, Verdict


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one packet: the verdict, and the rule (or the default) that gave it."""

    verdict: Verdict
    decider: Decider
    log: bool


def matches(rule: Rule, packet: Packet) -> bool:
    """Say whether the rule speaks about the packet."""
    if not rule.service.services.contains(packet.protocol, packet.port, packet.source_port):
        return False
    return any(packet.src in src.addresses and packet.dst in dst.addresses for src, dst in rule.directions())


def evaluate(ruleset: Ruleset, packet: Packet) -> Decision:
    """Judge the first packet of a connection: the first rule that matches decides, else the default."""
    return evaluate_ordered(ruleset, ruleset.ordered(), packet)


def evaluate_ordered(ruleset: Ruleset, rules: Iterable[OrderedRule], packet: Packet) -> Decision:
    """Do the same for a caller with many packets, who has put the ruleset's rules in order once."""
    for ordered in rules:
        if matches(ordered.rule, packet):
            return Decision(ordered.verdict, ordered, ordered.rule.log)
    return Decision(ruleset.default_verdict(), ruleset.default, ruleset.default.log)
