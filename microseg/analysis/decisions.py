"""What the reference evaluator says about packets, again and again, while a few policies change.

Which rule of a policy is the first to match a packet doesn't depend on other policies. So about a packet that
was judged before, only the policies that have changed are asked; the evaluator stays as plain as it is (I4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.policy.evaluate import Decision, evaluate_ordered
from microseg.policy.rules import OrderedRule, Ruleset

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from microseg.analysis.memory import Memory
    from microseg.policy.addresses import AddressSet, IPAddress
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Policy


def of_packets(ruleset: Ruleset, packets: Iterable[Packet], memory: Memory) -> dict[Packet, Decision]:
    """Return what becomes of each packet."""
    earlier_policies = memory.decided_by.policies if memory.decided_by else ()
    lasting = set(map(id, ruleset.policies)) & set(map(id, earlier_policies))
    changed = Ruleset(
        tuple(policy for policy in ruleset.policies if id(policy) not in lasting),
        ruleset.default,
        audit_all=ruleset.audit_all,
    )
    rules_of_changed = _ByDestination(changed.ordered())
    ordered: tuple[OrderedRule, ...] = ()
    found: dict[Packet, Decision] = {}
    for packet in packets:
        before = memory.decisions.get(packet)
        if before is not None and _still_stands(before, lasting):
            now = evaluate_ordered(changed, rules_of_changed.leading_to(packet.dst), packet)
            found[packet] = before if _comes_first(before, now) else now
        else:
            ordered = ordered or ruleset.ordered()
            found[packet] = evaluate_ordered(ruleset, ordered, packet)
    memory.decided_by, memory.decisions = ruleset, found
    return found


class _ByDestination:
    """Rules by where they lead: most lead elsewhere than a packet goes, and so don't match it."""

    def __init__(self, rules: Iterable[OrderedRule]) -> None:
        self._addresses: dict[int, AddressSet] = {}
        self._rules = [(ordered, self._destinations(ordered)) for ordered in rules]

    def leading_to(self, address: IPAddress) -> Iterator[OrderedRule]:
        """Yield the rules that lead to an address, in order."""
        around = {number for number, addresses in self._addresses.items() if address in addresses}
        return (ordered for ordered, to in self._rules if not around.isdisjoint(to)) if around else iter(())

    def _destinations(self, ordered: OrderedRule) -> set[int]:
        """Return what stands for its destinations, kept while this is."""
        found = {id(dst.addresses): dst.addresses for _, dst in ordered.rule.directions()}
        self._addresses |= found
        return set(found)


def _still_stands(before: Decision, lasting: Container[int]) -> bool:
    """Say whether it is what the policies say that are as before: a rule of one of them, or none."""
    return not isinstance(before.decider, OrderedRule) or id(before.decider.policy) in lasting


def _comes_first(before: Decision, now: Decision) -> bool:
    if not isinstance(before.decider, OrderedRule):
        return False
    if not isinstance(now.decider, OrderedRule):
        return True
    return _place(before.decider.policy) < _place(now.decider.policy)


def _place(policy: Policy) -> tuple[int, str]:
    return policy.priority, policy.name
