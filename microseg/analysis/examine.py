"""The one way every command looks at a policy directory: compiled, and checked for contradictions.

Failing policy tests are kept apart: they don't make a policy invalid, they make an apply ask.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from microseg.analysis import conflicts, lint, proofs, protection, taste, unchanged
from microseg.analysis.book import Book
from microseg.analysis.memory import Memory
from microseg.compiler.pipeline import Compilation, compile_tree
from microseg.diagnostics import has_errors, in_order
from microseg.lang import ignores
from microseg.phases import Phase, untold
from microseg.policy.rules import NOTICE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from microseg.abi import PolicyMap
    from microseg.diagnostics import Diagnostic
    from microseg.phases import Told
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
    review: taste.Options | None = None,
    memory: Memory | None = None,
    told: Told = untold,
) -> Examination:
    """Compile a policy directory, look for conflicts of equal priorities and prove its tests.

    Conflicts, tests and remarks are about the policy as it is written, with or without the audit option.

    Args:
        tree: as for `compile_tree`, like the next three.
        today: decides which rules have expired.
        audit: only report what would be denied.
        capacities: entries each kernel map can hold.
        review: also remark on what a careful reviewer would, and how.
        memory: of earlier examinations; it makes no difference to the result.
        told: is told how far it is.

    """
    notice = review.notice if review else NOTICE
    memory = memory or Memory()
    compilation = compile_tree(
        tree, today, audit=audit, capacities=capacities, notice=notice, memory=memory.compiling, told=told
    )
    return examined(compilation, memory, review, told)


def examined(
    compilation: Compilation, memory: Memory, review: taste.Options | None = None, told: Told = untold
) -> Examination:
    """Do what is left to do once a policy directory is compiled."""
    ruleset = compilation.intended
    if has_errors(compilation.diagnostics):
        return Examination(compilation, ())
    if not (review or ruleset.tests or conflicts.are_possible(ruleset)):
        return Examination(compilation, ())
    if not review and memory.sound and unchanged.is_still_sound(memory.sound, ruleset, memory.bounds):
        found = Examination(_with(compilation, [], []), ())
    else:
        found = _looked_at(compilation, review, told)
    memory.sound = None if found.compilation.image is None or found.failures else ruleset
    return found


def _looked_at(compilation: Compilation, review: taste.Options | None, told: Told) -> Examination:
    """Look at all rules."""
    told(Phase.ANALYSE, 0)
    ruleset = compilation.intended
    spoken_of = [*proofs.spoken_of(ruleset), *(protection.spoken_of(ruleset) if review else ())]
    book = Book(ruleset, spoken_of)
    disagreements = [conflicts.diagnostic(each) for each in conflicts.conflicts(book)]
    if review:
        told(Phase.REMARK, 0)
    # As long as policies are in conflict, which rule comes before which is nothing to build on.
    remarks = _remarks(book, review, compilation) if review and not disagreements else []
    failures = tuple(in_order(proofs.diagnostic(each) for each in proofs.failures(book)))
    return Examination(_with(compilation, disagreements, remarks), failures)


def _remarks(book: Book, review: taste.Options, compilation: Compilation) -> list[Diagnostic]:
    """Return what a careful reviewer would remark on, the comments that silence nothing among it."""
    found, files = lint.findings(book, review), compilation.files
    hushed = [*compilation.silenced, *ignores.silenced(found, files)]
    return ignores.silence([*found, *ignores.idle(hushed, files)], files)


def _with(
    compilation: Compilation, disagreements: list[Diagnostic], remarks: Iterable[Diagnostic]
) -> Compilation:
    """Return the compilation with what was found out about it."""
    found = [*compilation.diagnostics, *disagreements, *remarks]
    image = None if disagreements else compilation.image
    return replace(compilation, diagnostics=tuple(in_order(found)), image=image)
