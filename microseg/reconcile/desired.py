"""What the kernel should hold, with all that is needed to explain it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from microseg.abi import encode
from microseg.memo import Translation
from microseg.reconcile.errors import PolicyError
from microseg.reconcile.records import Attribution, Names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microseg.abi import SlotContents
    from microseg.analysis.examine import Examination
    from microseg.compiler.image import Image, Origin
    from microseg.compiler.pipeline import Compilation
    from microseg.diagnostics import Diagnostic
    from microseg.reconcile.evidence import Evidence
    from microseg.reconcile.revision import Revision


@dataclass(frozen=True, slots=True)
class Desired:
    """A compiled policy.

    Attributes:
        contents: the bytes of its maps and defaults.
        names: what the numbers in them mean.
        revision: of the text; None outside git.
        warnings: what the compiler had to say although it's valid.
        failures: policy tests that don't hold.
        sources: the text of the files by path, to show warnings and failures in.
        compilation: what all of this comes from; None when it was compiled elsewhere.
        evidence: what was found out there; None when it can be found out here, or not at all.

    """

    contents: SlotContents
    names: Names = field(default_factory=Names)
    revision: Revision | None = None
    warnings: tuple[Diagnostic, ...] = ()
    failures: tuple[Diagnostic, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    compilation: Compilation | None = None
    evidence: Evidence | None = None


def desired_of(examination: Examination, revision: Revision | None) -> Desired:
    """Return what was examined as what the kernel should hold; raises PolicyError when it has errors."""
    compilation = examination.compilation
    if compilation.image is None:
        raise PolicyError(compilation.diagnostics, compilation.sources)
    return Desired(
        encode(compilation.image),
        names_of(compilation.image),
        revision,
        compilation.diagnostics,
        examination.failures,
        compilation.sources,
        compilation,
    )


Attributions: TypeAlias = Translation[int, "Origin", Attribution]


def names_of(image: Image, known: Attributions | None = None) -> Names:
    """Return what the numbers of an image mean; those that are known are the same objects."""
    rules = (known or Translation()).of(image.origins, _attribution)
    return Names(rules, dict(image.set_names), dict(image.service_names))


def _attribution(_: int, origin: Origin) -> Attribution:
    if origin.span is None:
        return Attribution(origin.policy, origin.text)
    return Attribution(origin.policy, origin.text, origin.span.path, origin.span.line)
