"""One packet on its way through a policy: the lists it is in, the search, and what decides it.

The kernel's way has the same stations (microseg.kernel.tracing), so the two can be laid side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.compiler.ids import assign, rule_names
from microseg.compiler.interpret import search
from microseg.policy.evaluate import evaluate
from microseg.policy.rules import OrderedRule

if TYPE_CHECKING:
    from microseg.abi_outcome import Outcome
    from microseg.compiler.image import Image
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Decider, Ruleset, Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """What decides, and how.

    Attributes:
        verdict: what the packet gets.
        rule_id: of the rule; 0: the default.
        log: it is reported.
        precedence: of the entry that decided; None for the default.
        probes: probes of the policy map, pairs included.

    """

    verdict: Verdict
    rule_id: int
    log: bool
    precedence: int | None
    probes: int


@dataclass(frozen=True, slots=True)
class Way:
    """The stations of a packet.

    Attributes:
        packet: what the frame was read as; None when it can't be read.
        src_sets: ids of the sets that contain the source, ascending.
        dst_sets: ids of the sets that contain the destination, ascending.
        services: ids of the services that contain the packet, ascending, each once.
        judgement: None when the policy isn't asked.
        outcome: why it isn't asked, in the kernel; else None.
        why: why it isn't asked, in words; empty when it is.

    """

    packet: Packet | None = None
    src_sets: tuple[int, ...] = ()
    dst_sets: tuple[int, ...] = ()
    services: tuple[int, ...] = ()
    judgement: Judgement | None = None
    outcome: Outcome | None = None
    why: str = ""


def trace(image: Image, packet: Packet) -> Way:
    """Return the way of a packet through a compiled policy."""
    found = search(image, packet)
    precedence = image.rules[found.key].precedence if found.key else None
    return Way(
        packet,
        found.src_sets,
        found.dst_sets,
        tuple(sorted(set(found.services))),
        Judgement(found.verdict, found.rule_id, found.log, precedence, found.probes),
    )


def evaluator_agrees(ruleset: Ruleset, way: Way) -> bool:
    """Say whether the reference evaluator decides the packet of a compiled policy's way the same (I4)."""
    assert way.packet is not None
    assert way.judgement is not None
    decision = evaluate(ruleset, way.packet)
    expected = decision.verdict, _id_of(ruleset, decision.decider), decision.log
    return expected == (way.judgement.verdict, way.judgement.rule_id, way.judgement.log)


def _id_of(ruleset: Ruleset, decider: Decider) -> int:
    if not isinstance(decider, OrderedRule):
        return 0
    ordered = ruleset.ordered()
    names = rule_names(ordered)
    return assign("rule", names)[names[ordered.index(decider)]]


def differences(policy: Way, kernel: Way, *, same_entries: bool) -> tuple[str, ...]:
    """Return the stations that differ, in words; of two different policies only what becomes of the packet.

    What the kernel lets pass without asking the policy (I6 lists it) is no difference.
    """
    if kernel.outcome is not None and kernel.outcome.passes:
        return ()
    if policy.judgement is None or kernel.judgement is None:
        return () if policy.judgement is kernel.judgement else ("whether it is judged",)
    mine, theirs = policy.judgement, kernel.judgement
    stations: list[tuple[str, object, object]] = [
        ("verdict", mine.verdict, theirs.verdict),
        ("log", mine.log, theirs.log),
    ]
    if same_entries:
        stations += [
            ("packet", policy.packet, kernel.packet),
            ("sets of the source", policy.src_sets, kernel.src_sets),
            ("sets of the destination", policy.dst_sets, kernel.dst_sets),
            ("services", policy.services, kernel.services),
            ("probes", mine.probes, theirs.probes),
            ("precedence", mine.precedence, theirs.precedence),
            ("rule", mine.rule_id, theirs.rule_id),
        ]
    return tuple(name for name, one, other in stations if one != other)
