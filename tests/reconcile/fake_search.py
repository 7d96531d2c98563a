"""The kernel's search over the entries of a fake kernel."""

from __future__ import annotations

from collections.abc import Mapping

from microseg import abi
from microseg.abi import Axis, Entries, EntryFlag, PolicyMap, SlotConfig
from microseg.compiler.image import Image, PolicyEntry, PolicyKey, Prefix, ServiceElement
from microseg.policy.rules import Verdict


def image_of(maps: Mapping[PolicyMap, Entries], config: SlotConfig) -> Image:
    """Return what the entries of a slot say."""
    services: dict[Axis, dict[Prefix, tuple[ServiceElement, ...]]] = {axis: {} for axis in Axis}
    for key, value in maps[PolicyMap.SERVICE].items():
        axis, prefix = abi.decode_service_key(key)
        services[axis][prefix] = abi.decode_service_list(value)
    ipv4, ipv6 = (
        {abi.decode_prefix(name, key): abi.decode_set_list(value) for key, value in maps[name].items()}
        for name in (PolicyMap.IPCACHE4, PolicyMap.IPCACHE6)
    )
    rules = {
        PolicyKey(*abi.decode_policy_key(key)): _entry(*abi.decode_policy_value(value))
        for key, value in maps[PolicyMap.POLICY].items()
    }
    assert config.default_verdict is not None
    log = bool(config.default_flags & EntryFlag.LOG)
    destination, source = services[Axis.DESTINATION], services[Axis.SOURCE]
    return Image(ipv4, ipv6, destination, source, rules, config.default_verdict, log, {}, {}, {})


def _entry(precedence: int, rule_id: int, verdict: int, flags: int) -> PolicyEntry:
    return PolicyEntry(precedence, Verdict(verdict), bool(flags & EntryFlag.LOG), rule_id)
