"""The one way `lint` and the editor look at a policy directory: everything on, as the settings want it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from microseg.analysis.examine import Examination, examine
from microseg.analysis.lint import DEFAULT_OPTIONS, Options
from microseg.output.severities import Severities

if TYPE_CHECKING:
    from datetime import date

    from microseg.source import SourceTree


@dataclass(frozen=True, slots=True)
class Taste:
    """What [lint] in microseg.toml says.

    Attributes:
        severities: how findings are taken, code by code.
        options: what is a matter of taste.

    """

    severities: Severities = field(default_factory=Severities)
    options: Options = DEFAULT_OPTIONS


def review(tree: SourceTree, today: date, taste: Taste) -> Examination:
    """Examine a policy directory with all remarks, each as severe as it is to be taken."""
    examination = examine(tree, today, review=taste.options)
    found = taste.severities.weigh(examination.compilation.diagnostics)
    failures = taste.severities.weigh(examination.failures)
    return replace(
        examination, compilation=replace(examination.compilation, diagnostics=found), failures=failures
    )
