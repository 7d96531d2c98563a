"""What the kernel should hold, with all that is needed to explain it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from microseg.abi import encode
from microseg.memo import Each
from microseg.reconcile.errors import PolicyError
from microseg.reconcile.records import Attribution, Names
from microseg.sections import Sections, sections_of

if TYPE_CHECKING:
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


Attributions: TypeAlias = Each[Mapping[int, "Origin"], dict[int, Attribution]]


def names_of(image: Image, known: Attributions | None = None) -> Names:
    """Return what the numbers of an image mean; sections that are known are the same objects."""
    sections = (known or Each()).of(sections_of(image.origins), _attributions)
    return Names(Sections(sections), image.set_names, image.service_names)


def _attributions(origins: Mapping[int, Origin]) -> dict[int, Attribution]:
    return {rule_id: _attribution(origin) for rule_id, origin in origins.items()}


def _attribution(origin: Origin) -> Attribution:
    if origin.span is None:
        return Attribution(origin.policy, origin.text)
    return Attribution(origin.policy, origin.text, origin.span.path, origin.span.line)
