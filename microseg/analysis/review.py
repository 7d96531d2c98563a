"""The one way `lint` and the editor look at a policy directory: everything on, as the settings want it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from microseg.analysis.examine import Examination, examine
from microseg.phases import untold

if TYPE_CHECKING:
    from datetime import date

    from microseg.analysis.memory import Memory
    from microseg.analysis.taste import Taste
    from microseg.phases import Told
    from microseg.source import SourceTree


def review(
    tree: SourceTree, today: date, taste: Taste, memory: Memory | None = None, told: Told = untold
) -> Examination:
    """Examine a policy directory with all remarks, each as severe as it is to be taken."""
    examination = examine(tree, today, review=taste.options, memory=memory, told=told)
    found = taste.severities.weigh(examination.compilation.diagnostics)
    failures = taste.severities.weigh(examination.failures)
    return replace(
        examination, compilation=replace(examination.compilation, diagnostics=found), failures=failures
    )
