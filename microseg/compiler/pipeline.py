"""The whole way from a policy directory to an image, on one page.

    read -> parse -> resolve -> leave out what has expired -> check -> lower -> check the limits

Every step returns what it found wrong beside its result and the next one goes on with the rest, so all
problems of all files are reported in one run. Only a policy without errors gets an image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from microseg.compiler import checks, limits
from microseg.compiler.lower import lower
from microseg.compiler.memory import Memory
from microseg.compiler.resolve import resolve
from microseg.diagnostics import has_errors, in_order
from microseg.lang import ignores
from microseg.lang.files import parse_tree
from microseg.phases import Phase, untold
from microseg.policy.rules import NOTICE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, timedelta

    from microseg.abi import PolicyMap
    from microseg.compiler.image import Image
    from microseg.compiler.resolve import Resolution
    from microseg.diagnostics import Diagnostic
    from microseg.lang import ast
    from microseg.lang.files import Parsed
    from microseg.phases import Told
    from microseg.policy.rules import Ruleset
    from microseg.source import SourceTree


@dataclass(frozen=True, slots=True)
class Compilation:
    """What became of a policy directory.

    Attributes:
        ruleset: what was lowered: the rules active on the day; whole only if there is no error.
        intended: the same without the audit option, for proofs.
        image: None if there is an error.
        diagnostics: everything found, in the order of the text.
        sources: text of every file a diagnostic may point into, by path.
        files: the syntax trees, for what is found out later and may be silenced in them.
        silenced: what was found as well, and a comment silences.

    """

    ruleset: Ruleset
    intended: Ruleset
    image: Image | None
    diagnostics: tuple[Diagnostic, ...]
    sources: Mapping[str, str]
    files: tuple[ast.File, ...] = ()
    silenced: tuple[Diagnostic, ...] = ()


def compile_tree(
    tree: SourceTree,
    today: date,
    *,
    audit: bool = False,
    capacities: Mapping[PolicyMap, int] | None = None,
    notice: timedelta = NOTICE,
    memory: Memory | None = None,
    told: Told = untold,
) -> Compilation:
    """Compile a policy directory.

    Args:
        tree: the directory, on disk or in a commit.
        today: rules whose last day is before it are left out; there is no other clock in the image (I5).
        audit: only report what would be denied.
        capacities: entries each kernel map can hold; None leaves them unchecked.
        notice: how long before its last day a rule is announced to expire.
        memory: of earlier compilations; it makes no difference to the result.
        told: is told how far it is.

    """
    memory = memory or Memory()
    parsed = parse_tree(tree, memory.files, memory.texts)
    told(Phase.RESOLVE, 0)
    resolution = resolve(parsed.files, tree, memory)
    found = _checked(parsed, resolution, today, notice, memory)
    intended = _active_on(resolution.ruleset, today, memory)
    ruleset = intended.audited() if audit else intended
    image = _image(ruleset, memory, capacities, found, told)
    return Compilation(
        ruleset=ruleset,
        intended=intended,
        image=image,
        diagnostics=tuple(in_order(ignores.silence(found, parsed.files))),
        sources=parsed.texts | resolution.scope.sources,
        files=tuple(parsed.files),
        silenced=tuple(ignores.silenced(found, parsed.files)),
    )


def _checked(
    parsed: Parsed, resolution: Resolution, today: date, notice: timedelta, memory: Memory
) -> list[Diagnostic]:
    """Return all there is to say before anything is lowered."""
    found = [*parsed.diagnostics, *resolution.diagnostics]
    whole = not has_errors(found)
    return found + checks.check(parsed.files, resolution, today, notice, whole=whole, known=memory.remarks)


def _image(
    ruleset: Ruleset,
    memory: Memory,
    capacities: Mapping[PolicyMap, int] | None,
    found: list[Diagnostic],
    told: Told,
) -> Image | None:
    """Return the image; None if there is an error, or it doesn't fit, which found then says."""
    if has_errors(found):
        return None
    told(Phase.COMPILE, 0)
    image = lower(ruleset, memory)
    found += limits.check(ruleset, image, capacities)
    return None if has_errors(found) else image


def _active_on(ruleset: Ruleset, today: date, memory: Memory) -> Ruleset:
    """Leave out what has expired; a policy that is as before is the same object."""
    policies = memory.active.of(ruleset.policies, lambda policy: policy.active_on(today), today)
    return replace(ruleset, policies=tuple(policies))
