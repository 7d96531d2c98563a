"""How severe the findings of `lint` are taken, code by code, as microseg.toml says under [lint]."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from microseg.diagnostics import Code, Diagnostic, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OFF = "off"
LEVELS: Mapping[str, Severity | None] = {OFF: None} | {severity.value: severity for severity in Severity}
"""What can be said of a code; None is not to be shown."""


@dataclass(frozen=True, slots=True)
class Severities:
    """The severities of codes that differ from their own; None: not shown. Errors stay errors."""

    chosen: Mapping[Code, Severity | None] = field(default_factory=dict)

    @classmethod
    def read(cls, table: Mapping[str, object]) -> Severities:
        """Return what a table of codes and levels says; raises ValueError with the reason."""
        chosen: dict[Code, Severity | None] = {}
        known = {code.value: code for code in Code}
        for name, level in table.items():
            if name not in known:
                raise ValueError(f"there is no diagnostic {name}")
            if not isinstance(level, str) or level not in LEVELS:
                raise ValueError(f"{name}: {level!r} is not one of {', '.join(LEVELS)}")
            code = known[name]
            if code.severity is Severity.ERROR and LEVELS[level] is not Severity.ERROR:
                raise ValueError(f"{name} is an error and stays one: such a policy can't be applied")
            chosen[code] = LEVELS[level]
        return cls(chosen)

    def weigh(self, diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        """Return the diagnostics as they are to be shown."""
        weighed: list[Diagnostic] = []
        for diagnostic in diagnostics:
            own = diagnostic.severity
            severity = own if diagnostic.is_error else self.chosen.get(diagnostic.code, own)
            if severity is not None:
                weighed.append(replace(diagnostic, severity=severity))
        return tuple(weighed)
