"""Bytes of a file to text, or a clear word about why not."""

from __future__ import annotations

import codecs
import re

from microseg.diagnostics import Code, Diagnostic, Label
from microseg.source import Span

MAX_POLICY_BYTES = 4 * 1024 * 1024
"""Largest policy file: some 50,000 rules. Longer address lists belong into `file(...)`."""
MAX_SHOWN = 20
"""Places of unseen characters in one file that are reported."""

_OTHER_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)

# Characters that make a reader see another text than the parser: control characters, line ends that only
# some editors know, and those that change the direction of writing (CVE-2021-42574).
_UNSEEN = re.compile(
    "[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\r(?!\n)"
)


def decode(path: str, content: bytes) -> tuple[str | None, list[Diagnostic]]:
    """Return a file's text, None when it isn't text, and what is wrong with it.

    A byte order mark is left out. Unseen characters are reported and replaced by blanks, so that the rest can
    still be parsed and every column stays.
    """
    for mark, encoding in _OTHER_ENCODINGS:
        if content.startswith(mark):
            return None, [_not_text(path, 1, 1, f"this file is {encoding}, not UTF-8")]
    before, nul, _ = content.partition(b"\0")
    if nul:
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        return None, [_not_text(path, line, column, "this file is binary: it has a zero byte")]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position(content[: error.start].decode("utf-8-sig"))
        byte = f"byte 0x{content[error.start]:02x}"
        return None, [_not_text(path, line, column, f"this file isn't UTF-8: {byte} can't stand here")]
    unseen = list(_UNSEEN.finditer(text))
    if unseen:
        return _UNSEEN.sub(" ", text), [_unseen(path, text, found) for found in unseen[:MAX_SHOWN]]
    return text, []


def too_large(path: str) -> Diagnostic:
    """Return the error for a policy file beyond MAX_POLICY_BYTES."""
    return Diagnostic.of(
        Code.TOO_LARGE,
        Span.of_file(path),
        f"this policy file is larger than {MAX_POLICY_BYTES // 1024 // 1024} MiB",
        help='split it, or move its addresses into lists: group NAME = file("lists/NAME.netset")',
    )


def _not_text(path: str, line: int, column: int, message: str) -> Diagnostic:
    span = Span(path, line, column, line, column)
    return Diagnostic.of(Code.NOT_TEXT, span, message, help="save it as UTF-8 text, or move it elsewhere")


def _unseen(path: str, text: str, found: re.Match[str]) -> Diagnostic:
    line, column = _position(text[: found.start()])
    span = Span(path, line, column, line, column + 1)
    name = f"U+{ord(found.group()):04X}"
    return Diagnostic.of(
        Code.UNEXPECTED_CHARACTER,
        span,
        f"the character {name} isn't allowed in a policy, not even in comments",
        Label(span, "it can't be seen, and makes the text look different from what it says"),
        help="delete it",
    )


def _position(before: str) -> tuple[int, int]:
    """Return line and column of what comes behind this text."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")
