"""One packet on its way through the policy in the kernel: its maps are read, and its program is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from microseg import abi
from microseg.abi import Axis, PolicyMap, SlotFlag
from microseg.analysis.trace import Judgement, Way
from microseg.compiler.image import Prefix
from microseg.kernel.errors import NotFoundError
from microseg.kernel.flows import NO_PRECEDENCE

if TYPE_CHECKING:
    from microseg.compiler.image import ServiceElement
    from microseg.kernel.dataplane import PinnedDataPlane
    from microseg.kernel.flows import Answer, Flows
    from microseg.policy.addresses import IPAddress
    from microseg.policy.packet import Packet

_TARGET_BITS = 24


def trace(plane: PinnedDataPlane, flows: Flows, frame: bytes, packet: Packet | None, generation: int) -> Way:
    """Return the way of a frame through a generation's policy; packet is what the frame is expected to be."""
    answer = flows.ask(frame, generation)
    if answer.outcome is not None or packet is None:
        why = answer.outcome.meaning if answer.outcome else ""
        return Way(packet=None, judgement=_judgement(answer), outcome=answer.outcome, why=why)
    slot = generation & 1
    parsed = replace(packet, protocol=answer.protocol, port=answer.port, source_port=answer.source_port)
    return Way(
        parsed,
        _sets(plane, slot, parsed.src),
        _sets(plane, slot, parsed.dst),
        _services(plane, slot, parsed),
        _judgement(answer),
    )


def _judgement(answer: Answer) -> Judgement | None:
    if answer.verdict is None:
        return None
    precedence = None if answer.precedence == NO_PRECEDENCE else answer.precedence
    return Judgement(answer.verdict, answer.rule, answer.log, precedence, answer.probes)


def _lookup(plane: PinnedDataPlane, slot: int, name: PolicyMap, key: bytes) -> bytes | None:
    try:
        return plane.map(name.in_slot(slot)).lookup(key)
    except NotFoundError:
        return None


def _sets(plane: PinnedDataPlane, slot: int, address: IPAddress) -> tuple[int, ...]:
    value = _lookup(plane, slot, *abi.address_key(address))
    return abi.decode_set_list(value) if value else ()


def _services(plane: PinnedDataPlane, slot: int, packet: Packet) -> tuple[int, ...]:
    found = _services_under(plane, slot, Axis.DESTINATION, packet.protocol, packet.port)
    ids = {it.service_id for it in found if it.low <= packet.source_port <= it.high}
    if plane.read_config(slot).slot_flags & SlotFlag.HAS_SOURCE_PORTS:
        found = _services_under(plane, slot, Axis.SOURCE, packet.protocol, packet.source_port)
        ids |= {it.service_id for it in found if it.low <= packet.port <= it.high}
    return tuple(sorted(ids))


def _services_under(
    plane: PinnedDataPlane, slot: int, axis: Axis, protocol: int, port: int
) -> tuple[ServiceElement, ...]:
    key = abi.service_key(axis, Prefix(protocol << 16 | port, _TARGET_BITS))
    value = _lookup(plane, slot, PolicyMap.SERVICE, key)
    return abi.decode_service_list(value) if value else ()
