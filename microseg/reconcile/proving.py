"""What a compiled policy does to the lifelines, by proof, and packets to ask the kernel about.

The lifelines are those who could repair a mistake: this session, protected traffic, the policy's remote.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from microseg.analysis import protection
from microseg.analysis.memory import Memory
from microseg.analysis.regions import Region
from microseg.analysis.witnesses import corners, witnesses
from microseg.compiler import ids
from microseg.policy.evaluate import evaluate
from microseg.policy.rules import OrderedRule
from microseg.reconcile.evidence import Evidence, Expected
from microseg.reconcile.safeguards import NO_LIFELINES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from microseg.analysis.witnesses import Witness
    from microseg.compiler.image import Origin
    from microseg.compiler.pipeline import Compilation
    from microseg.policy.addresses import AddressSet
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Decider, Policy, Rule, Ruleset, Verdict
    from microseg.reconcile.safeguards import Lifelines
    from microseg.source import Span


def evidence_of(compilation: Compilation, lifelines: Lifelines, memory: Memory | None = None) -> Evidence:
    """Return all that is known of a policy without errors."""
    memory = memory or Memory()
    return Evidence(cuts(compilation.ruleset, lifelines, memory), expected(compilation, lifelines, memory))


def cuts(ruleset: Ruleset, lifelines: Lifelines, memory: Memory | None = None) -> tuple[str, ...]:
    """Return which lifelines a policy would cut, in words."""
    return tuple(_cuts(ruleset, lifelines, memory or Memory()))


def expected(
    compilation: Compilation, lifelines: Lifelines = NO_LIFELINES, memory: Memory | None = None
) -> tuple[Expected, ...]:
    """Return packets of the lifelines, what the tests speak of, and a sample of what the rules do (I4)."""
    assert compilation.image is not None, "only a policy without errors is loaded"
    packets = _packets(compilation.ruleset, lifelines)
    found = witnesses(compilation.ruleset, packets, memory)
    return tuple(_expected(witness, compilation.image.origins) for witness in found)


def _expected(witness: Witness, origins: Mapping[int, Origin]) -> Expected:
    """Return what to ask."""
    decision, decider = witness.decision, witness.decision.decider
    if isinstance(decider, OrderedRule):
        number, by = _rule_id(decider, origins), f"{decider.rule.canonical()}{_place(decider.rule.span)}"
    else:
        number, by = 0, f"the default{_place(decider.span)}"
    return Expected(witness.packet, decision.verdict, number, decision.log, by)


def _rule_id(ordered: OrderedRule, origins: Mapping[int, Origin]) -> int:
    """Return the id of a rule: mostly the one it wants; whose it is says the identity of its place."""
    (likely,) = ids.first("rule", ids.rule_names([ordered])).values()
    span = ordered.rule.span
    if likely in origins and origins[likely].span is span:
        return likely
    return next(rule_id for rule_id, origin in origins.items() if origin.span is span)


def _packets(ruleset: Ruleset, lifelines: Lifelines) -> Iterator[Packet]:
    """Yield all single connections, and corners of protected traffic."""
    protected = (
        Region(protect.src.addresses, lifelines.hosts, protect.service.services)
        for protect in ruleset.protects
    )
    return chain((kept.packet for kept in lifelines.kept), chain.from_iterable(map(corners, protected)))


def _cuts(ruleset: Ruleset, lifelines: Lifelines, memory: Memory) -> Iterator[str]:
    for kept in lifelines.kept:
        decision = evaluate(ruleset, kept.packet)
        if not decision.verdict.passes:
            yield f"{kept.name} ({kept.packet}) {_fate(decision.verdict, decision.decider)}"
    if lifelines.hosts and ruleset.protects:
        for cut in protection.refused(_towards(ruleset, lifelines.hosts, memory), lifelines.hosts):
            protect, span = cut.protect, cut.protect.span
            verdict = evaluate(ruleset, cut.packet).verdict
            yield (
                f"what `protect {protect.name}` at {span.path}:{span.line} keeps ({cut.packet}) "
                f"{_fate(verdict, cut.decider)}"
            )


def _towards(ruleset: Ruleset, hosts: AddressSet, memory: Memory) -> Ruleset:
    """Leave out the rules that decide no packet to these hosts, which are most of a large policy."""
    policies = (
        memory.towards.of(partial(_part_towards, policy, hosts), (policy,), hosts)
        for policy in ruleset.policies
    )
    return replace(ruleset, policies=tuple(policies))


def _part_towards(policy: Policy, hosts: AddressSet) -> Policy:
    return replace(policy, rules=tuple(rule for rule in policy.rules if _leads_to(rule, hosts)))


def _leads_to(rule: Rule, hosts: AddressSet) -> bool:
    return any(dst.addresses & hosts for _, dst in rule.directions())


def _fate(verdict: Verdict, decider: Decider) -> str:
    if isinstance(decider, OrderedRule):
        rule = decider.rule
        return f"gets {verdict.name.lower()} by `{rule.canonical()}`{_place(rule.span)}"
    return f"gets {verdict.name.lower()} by the default{_place(decider.span)}"


def _place(span: Span | None) -> str:
    return f" at {span.path}:{span.line}" if span else ""
