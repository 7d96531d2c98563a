"""The grammar's terminals in the words of the reader."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

END = "$END"
STATEMENT_STARTS = frozenset({"GROUP", "SERVICE", "POLICY", "DEFAULT", "PROTECT", "TEST"})
POLICY_ITEM_STARTS = frozenset({"ALLOW", "DENY", "REJECT", "OWNER"})
TEST_ITEM_STARTS = frozenset({"EXPECT"})
ACTIONS = frozenset({"ALLOW", "DENY", "REJECT"})
ADDRESSES = frozenset({"NAME", "ADDRESS", "ANY", "ANY4", "ANY6", "FILE", "NOT", "OPEN"})
SERVICES = frozenset({"NAME", "ANY"})
VALUES = frozenset({"NAME", "STRING", "NUMBER", "DATE", "ADDRESS", "FOREIGN", "UNTERMINATED"})
"""Terminals of many spellings; every other one has a single spelling."""

# What may go on after something complete; named only when nothing else could stand there.
_CONTINUATIONS = frozenset(
    {
        END,
        "OR",
        "MINUS",
        "AMPERSAND",
        "COMMA",
        "RANGE_TO",
        "SLASH",
        "FROM",
        "COLON",
        "LOG",
        "EXPIRES",
        "STRING",
    }
)

_PHRASES: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = (
    (STATEMENT_STARTS, ("a statement (group, service, policy, default, protect or test)",)),
    (ADDRESSES, ("a set of addresses",)),
    (SERVICES, ("a service",)),
    (POLICY_ITEM_STARTS, ("a rule",)),
    (ACTIONS, ("`allow`", "`deny`", "`reject`")),
    (frozenset({"ONE_WAY", "BOTH_WAYS"}), ("`->`",)),
    (frozenset({"DATE", "NUMBER"}), ("a date such as 2027-01-31",)),
    (frozenset({"NAME"}), ("a name",)),
    (frozenset({"STRING"}), ("a text in double quotes",)),
    (frozenset({"NUMBER"}), ("a number",)),
    (frozenset({"ADDRESS"}), ("an address",)),
    (frozenset({END}), ("the end of the file",)),
)

_SIGNS = {
    "EQUAL": "=",
    "LBRACE": "{",
    "RBRACE": "}",
    "COLON": ":",
    "COMMA": ",",
    "AMPERSAND": "&",
    "SLASH": "/",
    "OPEN": "(",
    "CLOSE": ")",
    "OR": "|",
    "MINUS": "-",
    "NOT": "!",
}

# Words of other rule languages.
_FOREIGN_WORDS = {"drop": "DENY", "block": "DENY", "accept": "ALLOW", "permit": "ALLOW", "pass": "ALLOW"}

_LONGEST_SHOWN = 40
_SIMILAR = 0.75


def spelling(terminal: str) -> str:
    """Return how a terminal of a single spelling is typed."""
    return _SIGNS.get(terminal) or terminal.lower()


def is_reserved(terminal: str) -> bool:
    """Say whether the terminal is a word that can't be a name."""
    return terminal.isalnum() and terminal not in VALUES and terminal not in _SIGNS


def expected_phrase(expected: Iterable[str]) -> str:
    """Return what could stand there, such as "`=`" or "a set of addresses"."""
    left = set(expected)
    if left - _CONTINUATIONS:
        left -= _CONTINUATIONS
    words: list[str] = []
    for terminals, texts in _PHRASES:
        if terminals <= left:
            words.extend(texts)
            left -= terminals
    words.extend(f"`{spelling(terminal)}`" for terminal in sorted(left))
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def found_phrase(terminal: str, text: str) -> str:
    """Return what stands there."""
    if terminal == END:
        return "the end of the file"
    shown = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return f"`{shown}`"


def misspelled(text: str, expected: Iterable[str]) -> str | None:
    """Return the terminal of the expected reserved word that the text was probably meant to be."""
    words = {spelling(terminal): terminal for terminal in expected if is_reserved(terminal)}
    if _FOREIGN_WORDS.get(text.lower()) in words.values():
        return _FOREIGN_WORDS[text.lower()]
    close = difflib.get_close_matches(text.lower(), words, n=1, cutoff=_SIMILAR)
    return words[close[0]] if close else None
