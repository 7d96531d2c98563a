"""Text to syntax tree: the only importer of lark.

lark makes the tables from grammar/microseg.lark and cuts the text into words; the loop over the tables is
here, because recovery after an error needs the stack.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lark
from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef
from lark.parsers.lalr_analysis import Shift

from microseg.lang import ast
from microseg.lang import cache as disk
from microseg.lang.ast import Word
from microseg.lang.build import TreeBuilder
from microseg.lang.recovery import Recovery
from microseg.lang.vocabulary import END, STATEMENT_STARTS
from microseg.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lark import Token
    from lark.parsers.lalr_parser_state import ParseConf

    from microseg.diagnostics import Diagnostic

GRAMMAR = Path(__file__).parent.parent / "_grammar" / "microseg.lark"

_OPTIONS: dict[str, Any] = {
    "parser": "lalr",
    "lexer": "basic",
    "start": "start",
    "keep_all_tokens": True,
    "maybe_placeholders": True,
}


# Terminals no rule of the grammar has; lark would leave them out of the lexer.
_BESIDE_THE_GRAMMAR = ("COMMENT", "FOREIGN", "UNTERMINATED")


def parse(path: str, text: str) -> tuple[ast.File, list[Diagnostic]]:
    """Return the syntax tree of one file and its syntax errors; never raises, whatever the text.

    Args:
        path: the file's path in the policy directory, for the spans.
        text: its content, decoded.

    """
    interactive = _tables().parse_interactive(text)
    stack = _Stack(interactive.parser_state.parse_conf)
    recovery = Recovery(path, stack)
    comments: list[ast.Comment] = []
    tokens: Iterator[Token] = interactive.lexer_thread.lex(None)  # type: ignore[no-untyped-call]
    for terminal, word in _words(tokens, path, comments):
        recovery.take(terminal, word)
    recovery.finish()
    # A statement whose first line had an error was given the empty name to go on with.
    statements = tuple(each for each in stack.result() if isinstance(each, ast.Default) or each.name.text)
    return ast.File(path, statements, tuple(comments), tuple(recovery.broken)), recovery.diagnostics


def acceptable_behind(text: str) -> frozenset[str]:
    """Return the terminals that could go on behind a text; none inside a comment or an open quote.

    After a syntax error these are the words that start a statement, until one of them was found.
    """
    interactive = _tables().parse_interactive(text)
    stack = _Stack(interactive.parser_state.parse_conf)
    recovery = Recovery("", stack)
    comments: list[ast.Comment] = []
    tokens: Iterator[Token] = interactive.lexer_thread.lex(None)  # type: ignore[no-untyped-call]
    last = ""
    for last, word in _words(tokens, "", comments):
        recovery.take(last, word)
    line = text[text.rfind("\n") + 1 :]
    if last == "UNTERMINATED" or (comments and line and line.rstrip().endswith(comments[-1].text)):
        return frozenset()
    return STATEMENT_STARTS if recovery.is_lost else stack.acceptable()


class _Stack:
    """A stack on lark's tables."""

    def __init__(self, conf: ParseConf[Any]) -> None:
        self.values: list[Any] = []
        self._states = [conf.start_state]
        self._end_state = conf.end_state
        self._actions = conf.states
        self._callbacks = conf.callbacks

    def feed(self, terminal: str, word: Word) -> bool:
        """Put together what is complete, then take the word; False when it can't stand here."""
        states, values = self._states, self.values
        while True:
            action = self._actions[states[-1]].get(terminal)
            if action is None:
                return False
            if action[0] is Shift:
                states.append(action[1])
                values.append(word)
                return True
            rule = action[1]
            size = len(rule.expansion)
            children = values[len(values) - size :]
            del states[len(states) - size :], values[len(values) - size :]
            values.append(self._callbacks[rule](children))
            states.append(self._actions[states[-1]][rule.origin.name][1])
            if states[-1] == self._end_state:
                return True

    def shifts(self, terminal: str) -> bool:
        """Say whether the terminal is taken here with nothing to put together before."""
        action = self._actions[self._states[-1]].get(terminal)
        return action is not None and action[0] is Shift

    def acceptable(self) -> frozenset[str]:
        """Return the terminals that could stand here."""
        terminals = (name for name in self._actions[self._states[-1]] if name.isupper() or name == END)
        return frozenset(name for name in terminals if self._would_take(name))

    def drop(self) -> Any:  # noqa: ANN401  a word or a node
        """Take the last value off the stack and return it."""
        self._states.pop()
        return self.values.pop()

    def result(self) -> tuple[ast.Statement, ...]:
        """Return the statements, after the end was fed."""
        [statements] = self.values
        return tuple(statements)

    def _would_take(self, terminal: str) -> bool:
        """Go through the motions of `feed` without values."""
        states = list(self._states)
        while True:
            action = self._actions[states[-1]].get(terminal)
            if action is None:
                return False
            if action[0] is Shift or states[-1] == self._end_state:
                return True
            rule = action[1]
            del states[len(states) - len(rule.expansion) :]
            states.append(self._actions[states[-1]][rule.origin.name][1])
            if states[-1] == self._end_state:
                return True


class _Beside:
    """lark's hook between lexer and parser: used for the list of terminals alone."""

    always_accept = _BESIDE_THE_GRAMMAR

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """Pass everything on."""
        return stream


def _words(tokens: Iterator[Token], path: str, comments: list[ast.Comment]) -> Iterator[tuple[str, Word]]:
    """Yield terminals and words for the parser: without comments, which are collected, with range signs."""
    single = False  # the word before is an address that a range could start with
    minus: Word | None = None  # the sign behind such a word
    line = 0
    for token in tokens:
        terminal: str = token.type
        span = Span(path, token.line, token.column, token.end_line, token.end_column)  # type: ignore[arg-type]
        if terminal == "COMMENT":
            text = token.rstrip()
            span = replace(span, end_column=span.column + len(text))
            comments.append(ast.Comment(text, span.line != line, span))
            continue
        line = span.end_line
        word = Word(str(token), span)
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


@cache
def _tables() -> Lark:
    """Return the parser's tables, from the disk if they were kept there."""
    grammar = GRAMMAR.read_text(encoding="utf-8")
    made_of = (grammar, str(_OPTIONS), str(_BESIDE_THE_GRAMMAR), lark.__version__, sys.version)
    name = f"grammar-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:32]}.json"
    hooks: dict[str, Any] = {"transformer": TreeBuilder(), "postlex": _Beside()}
    kept = disk.load(name)
    if kept is not None:
        return _from_json(kept, hooks)
    tables = Lark(grammar, **_OPTIONS, **hooks)
    disk.store(name, _as_json(tables))
    return tables


def _as_json(tables: Lark) -> bytes:
    """Return what Lark.save writes, as JSON instead of a pickle."""
    tree, shared = tables.memo_serialize([TerminalDef, Rule])
    tree["options"] = _OPTIONS
    return json.dumps({"data": tree, "memo": shared}).encode()


def _from_json(kept: bytes, hooks: dict[str, Any]) -> Lark:
    """Return the tables as Lark.load would."""
    content = json.loads(kept, object_hook=_with_numbers)
    # What the parsers that lark generates call; there is no public way around pickle.
    load = Lark._load_from_dict  # noqa: SLF001
    tables: Lark = load(content["data"], content["memo"], **hooks)  # type: ignore[no-untyped-call]
    return tables


def _with_numbers(content: dict[str, Any]) -> dict[Any, Any]:
    """Return an object with the numbers back that JSON made texts of; no other key starts with a digit."""
    if content and next(iter(content)).isdigit():
        return {int(key): value for key, value in content.items()}
    return content
