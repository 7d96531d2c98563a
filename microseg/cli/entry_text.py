"""Map entries in words: what they're about, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from microseg import abi
from microseg.abi import Axis, EntryFlag, PolicyMap
from microseg.compiler.image import PAIR_SERVICE_ID
from microseg.policy.addresses import Family
from microseg.policy.rules import Verdict
from microseg.policy.services import Protocol
from microseg.reconcile.plan import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microseg.compiler.image import Prefix
    from microseg.reconcile.plan import Change, Plan
    from microseg.reconcile.records import Names

TITLES = {
    PolicyMap.IPCACHE4: "IPv4 addresses",
    PolicyMap.IPCACHE6: "IPv6 addresses",
    PolicyMap.SERVICE: "services",
    PolicyMap.POLICY: "policy",
}
"""The maps as people know them."""

PROTOCOLS = {protocol.value: protocol.name.lower() for protocol in Protocol}

TARGET_BITS = 24
HIGHEST_PORT = 0xFFFF


def describe(change: Change, plan: Plan) -> str:
    """Return a change of an entry: what it's about, what it said and what it will say."""
    subject = _subject(change, plan)
    before = None if change.before is None else _says(change.map, change.before, plan.old_names)
    after = None if change.after is None else _says(change.map, change.after, plan.names)
    if change.kind is Kind.UPDATE:
        return f"{subject}: {before} => {after}"
    return f"{subject}: {after if before is None else before}"


def policy_value(value: bytes) -> tuple[int, Verdict, bool]:
    """Return precedence, verdict and whether it's logged, of a value of the policy map."""
    precedence, _, verdict, flags = abi.decode_policy_value(value)
    return precedence, Verdict(verdict), bool(flags & EntryFlag.LOG)


def _subject(change: Change, plan: Plan) -> str:
    match change.map:
        case PolicyMap.IPCACHE4:
            return str(Family.IPV4.network(*abi.decode_prefix(change.map, change.key)))
        case PolicyMap.IPCACHE6:
            return str(Family.IPV6.network(*abi.decode_prefix(change.map, change.key)))
        case PolicyMap.SERVICE:
            axis, prefix = abi.decode_service_key(change.key)
            return target(prefix) + (" (source)" if axis is Axis.SOURCE else "")
        case PolicyMap.POLICY:
            return _policy_key(change.key, plan.old_names if change.kind is Kind.DELETE else plan.names)
        case _:
            assert_never(change.map)


def _policy_key(key: bytes, names: Names) -> str:
    src, dst, service = abi.decode_policy_key(key)
    ends = f"{_name(names.sets, src)} -> {_name(names.sets, dst)}"
    return f"{ends}, pair" if service == PAIR_SERVICE_ID else f"{ends} : {_name(names.services, service)}"


def _says(name: PolicyMap, value: bytes, names: Names) -> str:
    match name:
        case PolicyMap.IPCACHE4 | PolicyMap.IPCACHE6:
            return ", ".join(sorted(_name(names.sets, set_id) for set_id in abi.decode_set_list(value)))
        case PolicyMap.SERVICE:
            return ", ".join(
                _name(names.services, element.service_id) + _other_port(element.low, element.high)
                for element in abi.decode_service_list(value)
            )
        case PolicyMap.POLICY:
            precedence, verdict, logged = policy_value(value)
            rule_id = abi.decode_policy_value(value)[1]
            if not rule_id:
                return f"from precedence {precedence}"
            return f"{verdict.name.lower()}{', logged' if logged else ''}, precedence {precedence}"
        case _:
            assert_never(name)


def target(block: Prefix) -> str:
    """Return a block of protocol << 16 | port in the language's words."""
    if block.bits < TARGET_BITS - 16:
        return "any protocol"
    number = block.number >> 16
    protocol = PROTOCOLS.get(number, f"proto/{number}")
    if block.bits == TARGET_BITS - 16:
        return protocol
    first = block.number & HIGHEST_PORT
    last = first + (1 << TARGET_BITS - block.bits) - 1
    if number in (Protocol.ICMP, Protocol.ICMPV6):
        return f"{protocol}/{first >> 8}" + (f"/{first & 0xFF}" if first == last else "")
    return f"{protocol}/{first}" if first == last else f"{protocol}/{first}-{last}"


def _other_port(low: int, high: int) -> str:
    if (low, high) == (0, HIGHEST_PORT):
        return ""
    return f" (other port {low})" if low == high else f" (other port {low}-{high})"


def _name(names: Mapping[int, str], number: int) -> str:
    return names.get(number, f"#{number:08x}")
