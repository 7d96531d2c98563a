"""The one way every command looks at a policy directory: compiled, and checked for contradictions.

Failing policy tests are kept apart: they don't make a policy invalid, they make an apply ask.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from microseg.analysis import conflicts, proofs
from microseg.compiler.pipeline import Compilation, compile_tree
from microseg.diagnostics import has_errors, in_order

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from microseg.abi import PolicyMap
    from microseg.diagnostics import Diagnostic
    from microseg.source import SourceTree


@dataclass(frozen=True, slots=True)
class Examination:
    """What there is to say about a policy directory.

    Attributes:
        compilation: its image is None when anything is an error, a conflict of priorities too.
        failures: expectations of the policy's tests that don't hold.

    """

    compilation: Compilation
    failures: tuple[Diagnostic, ...]


def examine(
    tree: SourceTree,
    today: date,
    *,
    audit: bool = False,
    capacities: Mapping[PolicyMap, int] | None = None,
) -> Examination:
    """Compile a policy directory, look for conflicts of equal priorities and prove its tests.

    The arguments are those of `compile_tree`. Conflicts and tests are about the policy as it is written, with
    or without the audit option.
    """
    compilation = compile_tree(tree, today, audit=audit, capacities=capacities)
    if has_errors(compilation.diagnostics):
        return Examination(compilation, ())
    disagreements = conflicts.find(compilation.intended)
    if disagreements:
        diagnostics = tuple(in_order([*compilation.diagnostics, *disagreements]))
        compilation = replace(compilation, diagnostics=diagnostics, image=None)
    return Examination(compilation, tuple(in_order(proofs.prove(compilation.intended))))
