"""Asking the kernel about packets by the policy of the standby slot, before it judges any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.analysis.witnesses import witnesses
from microseg.policy.frames import write_frame
from microseg.policy.rules import OrderedRule
from microseg.reconcile.errors import ProbeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from microseg.analysis.witnesses import Witness
    from microseg.compiler.pipeline import Compilation
    from microseg.policy.packet import Packet
    from microseg.policy.rules import Decider
    from microseg.reconcile.dataplane import DataPlane, Judged
    from microseg.reconcile.records import Names


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A packet about which the kernel says something else than the policy's text."""

    witness: Witness
    answer: Judged


def probe(
    plane: DataPlane,
    generation: int,
    compilation: Compilation,
    names: Names,
    first: Iterable[Packet] = (),
) -> None:
    """Ask about these packets, what the policy's tests speak of, and a sample of its rules (I4).

    Raises:
        ProbeError: the kernel would decide otherwise than the policy's text says.
        KernelError: the kernel can't be asked.

    """
    asked = witnesses(compilation.ruleset, first)
    answers = plane.judge([write_frame(witness.packet) for witness in asked], generation)
    ids = _rule_ids(compilation)
    wrong = [
        Disagreement(witness, answer)
        for witness, answer in zip(asked, answers, strict=True)
        if answer.verdict is not None and not _agree(witness, answer, ids)
    ]
    if wrong:
        raise ProbeError(_words(wrong, len(asked), names))


def _rule_ids(compilation: Compilation) -> dict[object, int]:
    """Return the rule ids by where the rules stand."""
    assert compilation.image is not None, "only a policy without errors is loaded"
    return {origin.span: rule_id for rule_id, origin in compilation.image.origins.items() if rule_id}


def _agree(witness: Witness, answer: Judged, ids: dict[object, int]) -> bool:
    decision = witness.decision
    rule = ids[decision.decider.rule.span] if isinstance(decision.decider, OrderedRule) else 0
    return (answer.verdict, answer.rule, answer.log) == (decision.verdict, rule, decision.log)


def _words(wrong: Sequence[Disagreement], number: int, names: Names) -> str:
    first = wrong[0]
    decision, answer = first.witness.decision, first.answer
    assert answer.verdict is not None, "it would not have been counted"
    found = names.rules.get(answer.rule)
    place = f" at {found.place}" if found and found.place else ""
    by = f"{found.text}{place}" if found else f"rule #{answer.rule:08x}, which the policy doesn't have"
    return (
        f"{len(wrong)} of {number} packets would get something else from the kernel than the policy says. "
        f"The first: {first.witness.packet} should get {decision.verdict.name.lower()} "
        f"by {_decider(decision.decider)}, and would get {answer.verdict.name.lower()} by {by}"
    )


def _decider(decider: Decider) -> str:
    """Return a rule, or the default, with its place."""
    span = decider.rule.span if isinstance(decider, OrderedRule) else decider.span
    text = decider.rule.canonical() if isinstance(decider, OrderedRule) else "the default"
    return f"{text} at {span.path}:{span.line}" if span else text
