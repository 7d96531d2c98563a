"""Our values in the protocol's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

from microseg.diagnostics import Code, Diagnostic, Severity
from microseg.editing.completion import Candidate, What
from microseg.lsp.places import uri_of
from microseg.render import shortened

if TYPE_CHECKING:
    from pathlib import Path

    from microseg.lsp.places import Ruler
    from microseg.source import Span

SOURCE = "microseg"

_SEVERITIES = {
    Severity.ERROR: types.DiagnosticSeverity.Error,
    Severity.WARNING: types.DiagnosticSeverity.Warning,
    Severity.NOTE: types.DiagnosticSeverity.Information,
}
_KINDS = {
    What.WORD: types.CompletionItemKind.Keyword,
    What.GROUP: types.CompletionItemKind.Variable,
    What.SERVICE: types.CompletionItemKind.Value,
    What.PROTOCOL: types.CompletionItemKind.Constant,
    What.ICMP_TYPE: types.CompletionItemKind.EnumMember,
}
_UNNECESSARY = frozenset(
    {
        *(Code.UNUSED_GROUP, Code.UNUSED_SERVICE, Code.EXPIRED_RULE),
        *(Code.SHADOWED_RULE, Code.DUPLICATE_RULE, Code.REDUNDANT_RULE),
    }
)


def location(span: Span, root: Path, ruler: Ruler) -> types.Location:
    """Return a place in a file."""
    return types.Location(uri_of(root / span.path), ruler.range(span))


def diagnostic(each: Diagnostic, root: Path, ruler: Ruler) -> types.Diagnostic:
    """Return a diagnostic; labels elsewhere become related information."""
    beside = [label.text for label in each.labels if label.span == each.span]
    said = [each.message, *beside, *([f"help: {each.help}"] if each.help else [])]
    related = [
        types.DiagnosticRelatedInformation(location(label.span, root, ruler), shortened(label.text))
        for label in each.labels
        if label.span != each.span
    ]
    return types.Diagnostic(
        range=ruler.range(each.span),
        message="\n".join(shortened(line) for line in said),
        severity=_SEVERITIES[each.severity],
        code=each.code.value,
        source=SOURCE,
        tags=[types.DiagnosticTag.Unnecessary] if each.code in _UNNECESSARY else None,
        related_information=related,
    )


def completion(candidate: Candidate) -> types.CompletionItem:
    """Return something that could be typed."""
    return types.CompletionItem(candidate.text, kind=_KINDS[candidate.what], detail=candidate.what.value)
