"""The policy's tests on the compiled policy: packets of each expectation, judged by a kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from microseg.analysis import samples
from microseg.analysis.labels import cause
from microseg.diagnostics import Code, Diagnostic, Label
from microseg.policy.frames import write_frame
from microseg.reconcile.dataplane import Sizing
from microseg.reconcile.observed import read_slot
from microseg.reconcile.staging import stage, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from microseg.abi import SlotContents
    from microseg.analysis.samples import Sample
    from microseg.policy.rules import Ruleset, Verdict
    from microseg.reconcile.dataplane import DataPlane

    Ask: TypeAlias = Callable[[bytes], Verdict | None]
    """Asks a kernel about a frame; None when the frame isn't for the policy to judge, as an ICMP error's."""

GENERATION = 1
"""Of the one policy that a data plane made for a rehearsal ever holds."""
_SLOT = GENERATION & 1


@dataclass(frozen=True, slots=True)
class Question:
    """A packet as a frame, and what is expected of it."""

    sample: Sample
    frame: bytes


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What became of the questions.

    Attributes:
        judged: how many packets the kernel judged.
        failures: an error for each expectation with a packet that it judges otherwise than the policy says.

    """

    judged: int
    failures: tuple[Diagnostic, ...]


def questions(ruleset: Ruleset) -> list[Question]:
    """Return the packets to ask about, without those that no frame can carry."""
    found: list[Question] = []
    for sample in samples.of_tests(ruleset):
        try:
            found.append(Question(sample, write_frame(sample.packet)))
        except ValueError:  # an IPv6 extension header for a protocol
            continue
    return found


def sizing_for(contents: SlotContents) -> Sizing:
    """Return maps that hold these contents and little else: nothing passes through them."""
    room = max(64, *(len(entries) for entries in contents.maps.values()))
    return Sizing(room, room, room, sessions=1024, sessions6=1024, rule_counters=64)


def fill(plane: DataPlane, contents: SlotContents) -> None:
    """Put a policy into a data plane made for a rehearsal, as an apply would, but for the flip.

    Raises:
        VerifyError: it reads back as something else.
        KernelError: the kernel refused.

    """
    stage(plane, _SLOT, read_slot(plane, _SLOT), contents, GENERATION)
    verify(plane, _SLOT, contents, GENERATION)


def rehearse(asked: Iterable[Question], ask: Ask) -> Rehearsal:
    """Ask a kernel all questions; an expectation fails with the first packet that it judges otherwise."""
    judged = 0
    failures: dict[int, Diagnostic] = {}
    for question in asked:
        verdict = ask(question.frame)
        if verdict is None:
            continue
        judged += 1
        sample = question.sample
        if verdict is not sample.decision.verdict:
            failures.setdefault(id(sample.expectation), _failure(sample, verdict))
    return Rehearsal(judged, tuple(failures.values()))


def _failure(sample: Sample, found: Verdict) -> Diagnostic:
    says = f"gets {found.name.lower()}, the policy says {sample.decision.verdict.name.lower()}"
    return Diagnostic.of(
        Code.FAILED_TEST,
        sample.expectation.span,
        f'test "{sample.test.name}" fails in the kernel: {sample.packet} {says}',
        Label(sample.expectation.span, "the policy is right, the compiled one is not"),
        *cause(sample.decision.decider),
        help="this is a fault of microseg: report it, with the policy; what is in force is not touched",
    )
