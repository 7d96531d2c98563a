"""Text to words: comments apart, and with the sign of a range told from a difference.

One regular expression, made of the grammar's terminals in the order lark tries them in. lark's own lexer
finds the same words (tests/lang/test_lexer.py), but takes three times as long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.lang import ast
from microseg.lang.ast import Word
from microseg.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Terminal:
    """A kind of word.

    Attributes:
        name: the grammar's.
        regexp: what it looks like.
        fixed: its only spelling; None when it has many.
        rank: what terminals are tried in the order of.

    """

    name: str
    regexp: str
    fixed: str | None
    rank: tuple[int, int, int, str]


class Lexer:
    """Cuts text into the words of some terminals, two of which are called NAME and BLANK."""

    def __init__(self, terminals: Iterable[Terminal]) -> None:
        """Take the terminals. One of them has to match wherever no other does."""
        ordered = sorted(terminals, key=lambda each: each.rank)
        [name] = (each for each in ordered if each.name == "NAME")
        self._reserved = {
            each.fixed: each.name for each in ordered if each.fixed and re.fullmatch(name.regexp, each.fixed)
        }
        patterns = (
            f"(?P<{each.name}>{each.regexp})" for each in ordered if each.name not in self._reserved.values()
        )
        self._pattern = re.compile("|".join(patterns))

    def words(self, path: str, text: str, comments: list[ast.Comment]) -> Iterator[tuple[str, Word]]:
        """Yield terminals and words for the parser; comments are collected."""
        single = False  # the word before is an address that a range could start with
        minus: Word | None = None  # the sign behind such a word
        last_line = 0
        for terminal, word in self.every_word(path, text):
            if terminal == "COMMENT":
                comments.append(_comment(word, own_line=word.span.line != last_line))
                continue
            last_line = word.span.line
            if minus is None and not single and terminal != "ADDRESS":
                yield terminal, word
                continue
            if single and terminal == "MINUS":
                minus, single = word, False
                continue
            is_single = terminal == "ADDRESS" and "/" not in word.text
            if minus:
                yield ("RANGE_TO" if is_single else "MINUS"), minus
                minus, single = None, False
            else:
                single = is_single
            yield terminal, word
        if minus:
            yield "MINUS", minus

    def every_word(self, path: str, text: str) -> Iterator[tuple[str, Word]]:
        """Yield every word with its terminal, comments too; none but a blank goes over the end of a line."""
        line, start = 1, -1  # start: of the line, so that the first column is 1
        reserved = self._reserved
        for match in self._pattern.finditer(text):
            terminal = match.lastgroup
            assert terminal is not None, "every alternative is a group"
            if terminal == "BLANK":
                blank = match[0]
                if "\n" in blank:
                    line += blank.count("\n")
                    start = match.start() + blank.rindex("\n")
                continue
            found = match[0]
            if terminal == "NAME":
                terminal = reserved.get(found, "NAME")
            yield terminal, Word(found, Span(path, line, match.start() - start, line, match.end() - start))


def _comment(word: Word, *, own_line: bool) -> ast.Comment:
    text, span = word.text.rstrip(), word.span
    kept = Span(span.path, span.line, span.column, span.line, span.column + len(text))
    return ast.Comment(text, own_line, kept)
