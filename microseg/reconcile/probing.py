"""Asking the kernel about packets by the policy of the standby slot, before it judges any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.policy.frames import write_frame
from microseg.reconcile.errors import ProbeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microseg.reconcile.dataplane import DataPlane, Judged
    from microseg.reconcile.evidence import Expected
    from microseg.reconcile.records import Names


def probe(plane: DataPlane, generation: int, expected: Sequence[Expected], names: Names) -> None:
    """Ask about packets whose verdict is known (I4).

    Raises:
        ProbeError: the kernel would decide otherwise than the policy's text says.
        KernelError: the kernel can't be asked.

    """
    if not expected:
        return
    answers = plane.judge([write_frame(one.packet) for one in expected], generation)
    wrong = [
        (one, answer)
        for one, answer in zip(expected, answers, strict=True)
        if answer.verdict is not None
        and (answer.verdict, answer.rule, answer.log) != (one.verdict, one.rule, one.log)
    ]
    if wrong:
        raise ProbeError(f"{len(wrong)} of {len(expected)} {_words(*wrong[0], names)}")


def _words(expected: Expected, answer: Judged, names: Names) -> str:
    assert answer.verdict is not None, "it would not have been counted"
    found = names.rules.get(answer.rule)
    place = f" at {found.place}" if found and found.place else ""
    by = f"{found.text}{place}" if found else f"rule #{answer.rule:08x}, which the policy doesn't have"
    return (
        "packets would get something else from the kernel than the policy says. "
        f"The first: {expected.packet} should get {expected.verdict.name.lower()} by {expected.by}, "
        f"and would get {answer.verdict.name.lower()} by {by}"
    )
