"""A traced packet for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microseg.cli import terminal
from microseg.cli.entry_text import PROTOCOLS
from microseg.cli.plan_json import rule_object
from microseg.cli.terminal import Align
from microseg.reconcile.records import revision_to_json
from microseg.reconcile.revision import describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from microseg.analysis.trace import Judgement, Way
    from microseg.cli.trace_sides import Comparison, Side
    from microseg.policy.packet import Packet

SCHEMA = "microseg-trace-1"
HEADS = ("", "Policy", "Kernel")


def show(frame: bytes, policy: Side, kernel: Side, comparison: Comparison) -> None:
    """Print the two ways side by side, and in words whether they agree."""
    packet = policy.way.packet if policy.way else None
    terminal.say(str(packet) if packet else f"A frame of {len(frame)} bytes", bold=True)
    sides = [dict(_stations(side)) for side in (policy, kernel) if side.way]
    rows = [
        (name, *(each.get(name, "") for each in sides)) for name in dict.fromkeys(n for s in sides for n in s)
    ]
    terminal.table(HEADS[: 1 + len(sides)], rows, [Align.LEFT] * (1 + len(sides)))
    terminal.say()
    terminal.say(
        _conclusion(policy, kernel, comparison), bold=True, fg="red" if comparison.differ else "green"
    )


def _stations(side: Side) -> Iterator[tuple[str, str]]:
    """Yield what the packet met on its way, in order."""
    way = side.way
    assert way is not None
    generation = f"generation {side.generation}, " if side.generation else ""
    yield "from", generation + describe(side.revision)
    if way.packet:
        yield "source", f"{way.packet.src} in {_listed(way.src_sets, side.names.sets)}"
        yield "target", f"{way.packet.dst} in {_listed(way.dst_sets, side.names.sets)}"
        yield "service", f"{_service(way.packet)} in {_listed(way.services, side.names.services)}"
    if way.judgement is None:
        yield "verdict", f"not asked: {way.why}"
        return
    judgement = way.judgement
    yield "probes", str(judgement.probes)
    yield "precedence", "" if judgement.precedence is None else str(judgement.precedence)
    yield "verdict", judgement.verdict.name.lower() + (", logged" if judgement.log else "")
    rule = side.names.rules.get(judgement.rule_id)
    yield "rule", rule.text if rule else f"#{judgement.rule_id:08x}, of which nothing is recorded"
    yield "at", rule.place if rule else ""


def _listed(ids: Sequence[int], names: Mapping[int, str]) -> str:
    return ", ".join(_names(ids, names)) or "no set of a rule"


def _names(ids: Sequence[int], names: Mapping[int, str]) -> list[str]:
    return sorted(names.get(each, f"#{each:08x}") for each in ids)


def _service(packet: Packet) -> str:
    """Return protocol and ports as the language writes them."""
    return str(packet).partition(" : ")[2]


def _conclusion(policy: Side, kernel: Side, comparison: Comparison) -> str:
    if not comparison.sound:
        return (
            "The compiled policy decides otherwise than its text. This is a fault of microseg: "
            "please report it, with the policy and this packet."
        )
    if not comparison.both:
        return f"Only the policy was asked; the kernel: {kernel.silent}."
    assert policy.way is not None
    assert kernel.way is not None
    another = "" if comparison.same_entries else "The kernel has another policy in force (microseg plan)"
    if kernel.way.outcome and kernel.way.outcome.passes:
        return f"The kernel doesn't ask a policy about this packet: {kernel.way.outcome.meaning}."
    if not comparison.differences:
        return f"{another}, but they agree about this packet." if another else "They agree."
    stations = ", ".join(comparison.differences)
    if another:
        return f"{another}, and they differ: {stations}."
    return (
        f"They differ: {stations}. The kernel was given this very policy, so its entries were changed by "
        "somebody else (microseg status), or this is a fault of microseg: please report it."
    )


def as_object(frame: bytes, policy: Side, kernel: Side, comparison: Comparison) -> dict[str, Any]:
    """Return it all for JSON."""
    return {
        "schema": SCHEMA,
        "frame": frame.hex(),
        "policy": _side_object(policy),
        "kernel": _side_object(kernel) | {"generation": kernel.generation or None},
        "same_policy": comparison.same_entries if comparison.both else None,
        "differences": list(comparison.differences),
        "agree": not comparison.differ if comparison.both else None,
        "conclusion": _conclusion(policy, kernel, comparison),
    }


def _side_object(side: Side) -> dict[str, Any]:
    way = side.way
    return {
        "asked": way is not None,
        "why_not": side.silent or None,
        "revision": revision_to_json(side.revision),
    } | (_way_object(way, side) if way else {})


def _way_object(way: Way, side: Side) -> dict[str, Any]:
    packet = way.packet
    return {
        "packet": _packet_object(packet) if packet else None,
        "source_sets": _names(way.src_sets, side.names.sets),
        "destination_sets": _names(way.dst_sets, side.names.sets),
        "services": _names(way.services, side.names.services),
        "outcome": way.outcome.name.lower() if way.outcome else None,
        "judged": way.judgement is not None,
        "why_not_judged": way.why or None,
    } | (_judgement_object(way.judgement, side) if way.judgement else {})


def _judgement_object(judgement: Judgement, side: Side) -> dict[str, Any]:
    return {
        "probes": judgement.probes,
        "precedence": judgement.precedence,
        "verdict": judgement.verdict.name.lower(),
        "log": judgement.log,
        "rule": rule_object(judgement.rule_id, side.names.rules.get(judgement.rule_id)),
    }


def _packet_object(packet: Packet) -> dict[str, Any]:
    return {
        "src": str(packet.src),
        "dst": str(packet.dst),
        "protocol": PROTOCOLS.get(packet.protocol, str(packet.protocol)),
        "port": packet.port,
        "source_port": packet.source_port,
    }
