"""What became of the policy's own tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from microseg.diagnostics import Diagnostic
    from microseg.policy.rules import PolicyTest


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test with those of its expectations that don't hold."""

    test: PolicyTest
    failures: tuple[Diagnostic, ...]

    @property
    def passed(self) -> bool:
        """Whether every expectation was proved."""
        return not self.failures


def outcomes(tests: Iterable[PolicyTest], failures: Sequence[Diagnostic]) -> list[Outcome]:
    """Return each test with its failures, which are known by the places of its expectations."""
    found = []
    for test in tests:
        places = {expectation.span for expectation in test.expectations}
        found.append(Outcome(test, tuple(each for each in failures if each.span in places)))
    return found
