"""The guard against cutting off who could repair it: this session, protected traffic, the policy's remote.

What is checked is the compiled policy, by proof. Before the switch, the kernel is asked about the same
packets.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from microseg.analysis import protection
from microseg.analysis.regions import Region
from microseg.analysis.witnesses import corners
from microseg.policy.evaluate import evaluate
from microseg.policy.rules import OrderedRule
from microseg.reconcile.guards import lockout_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.policy.addresses import AddressSet
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Decider, Rule, Ruleset, Verdict
    from microseg.reconcile.safeguards import Lifelines
    from microseg.reconcile.transaction import Request


def check(ruleset: Ruleset, request: Request) -> None:
    """Refuse a policy that cuts one of the lifelines; raises GuardError."""
    cuts = [] if request.allow_lockout else list(_cuts(ruleset, request.lifelines))
    if cuts:
        more = f" (and {len(cuts) - 1} more)" if len(cuts) > 1 else ""
        raise lockout_error(f"{cuts[0]}{more}")


def packets(ruleset: Ruleset, lifelines: Lifelines) -> Iterator[Packet]:
    """Yield what the kernel is asked about: all single connections, and corners of protected traffic."""
    protected = (
        Region(protect.src.addresses, lifelines.hosts, protect.service.services)
        for protect in ruleset.protects
    )
    return chain((kept.packet for kept in lifelines.kept), chain.from_iterable(map(corners, protected)))


def _cuts(ruleset: Ruleset, lifelines: Lifelines) -> Iterator[str]:
    for kept in lifelines.kept:
        decision = evaluate(ruleset, kept.packet)
        if not decision.verdict.passes:
            yield f"{kept.name} ({kept.packet}) {_fate(decision.verdict, decision.decider)}"
    if lifelines.hosts and ruleset.protects:
        for cut in protection.refused(_towards(ruleset, lifelines.hosts), lifelines.hosts):
            protect, span = cut.protect, cut.protect.span
            verdict = evaluate(ruleset, cut.packet).verdict
            yield (
                f"what `protect {protect.name}` at {span.path}:{span.line} keeps ({cut.packet}) "
                f"{_fate(verdict, cut.decider)}"
            )


def _towards(ruleset: Ruleset, hosts: AddressSet) -> Ruleset:
    """Leave out the rules that decide no packet to these hosts, which are most of a large policy."""
    policies = (
        replace(policy, rules=tuple(rule for rule in policy.rules if _leads_to(rule, hosts)))
        for policy in ruleset.policies
    )
    return replace(ruleset, policies=tuple(policies))


def _leads_to(rule: Rule, hosts: AddressSet) -> bool:
    return any(dst.addresses & hosts for _, dst in rule.directions())


def _fate(verdict: Verdict, decider: Decider) -> str:
    if isinstance(decider, OrderedRule):
        rule = decider.rule
        return f"gets {verdict.name.lower()} by `{rule.canonical()}` at {rule.span.path}:{rule.span.line}"
    place = f" at {decider.span.path}:{decider.span.line}" if decider.span else ""
    return f"gets {verdict.name.lower()} by the default{place}"
