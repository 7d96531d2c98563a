"""Text to syntax tree: the only importer of lark.

lark makes the tables from grammar/microseg.lark; the loop over them is here, because recovery after an error
needs the stack.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import lark
from lark import Lark
from lark.grammar import Rule
from lark.lexer import PatternStr, TerminalDef
from lark.parse_tree_builder import ExpandSingleChild
from lark.parsers.lalr_analysis import Shift

from microseg.lang import ast
from microseg.lang import cache as disk
from microseg.lang.build import TreeBuilder
from microseg.lang.lexer import Lexer, Terminal
from microseg.lang.recovery import Recovery
from microseg.lang.vocabulary import END, STATEMENT_STARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lark import Token

    from microseg.diagnostics import Diagnostic
    from microseg.lang.ast import Word

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
    machine = machine_of_grammar()
    stack = _Stack(machine)
    recovery = Recovery(path, stack)
    comments: list[ast.Comment] = []
    for terminal, word in machine.lexer.words(path, text, comments):
        recovery.take(terminal, word)
    recovery.finish()
    # A statement whose first line had an error was given the empty name to go on with.
    statements = tuple(each for each in stack.result() if isinstance(each, ast.Default) or each.name.text)
    return ast.File(path, statements, tuple(comments), tuple(recovery.broken)), recovery.diagnostics


def acceptable_behind(text: str) -> frozenset[str]:
    """Return the terminals that could go on behind a text; none inside a comment or an open quote.

    After a syntax error these are the words that start a statement, until one of them was found.
    """
    machine = machine_of_grammar()
    stack = _Stack(machine)
    recovery = Recovery("", stack)
    comments: list[ast.Comment] = []
    last = ""
    for last, word in machine.lexer.words("", text, comments):
        recovery.take(last, word)
    line = text[text.rfind("\n") + 1 :]
    if last == "UNTERMINATED" or (comments and line and line.rstrip().endswith(comments[-1].text)):
        return frozenset()
    return STATEMENT_STARTS if recovery.is_lost else stack.acceptable()


class _Reduction(NamedTuple):
    """Putting together what a rule of the grammar is made of.

    Attributes:
        size: how many values it takes.
        build: makes one value of them; None: of one it takes, the same.
        goes_to: the state behind it, by the state in front of it.

    """

    size: int
    build: Callable[[list[Any]], Any] | None
    goes_to: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class _Machine:
    """lark's tables as the loop wants them.

    Attributes:
        lexer: cuts the text into words.
        actions: by state and terminal: the state behind the word, or what is put together before it.
        start: the first state.
        end: the last one.

    """

    lexer: Lexer
    actions: Mapping[int, Mapping[str, int | _Reduction]]
    start: int
    end: int


class _Stack:
    """A stack on the tables."""

    def __init__(self, machine: _Machine) -> None:
        self.values: list[Any] = []
        self._states = [machine.start]
        self._end = machine.end
        self._actions = machine.actions

    def feed(self, terminal: str, word: Word) -> bool:
        """Put together what is complete, then take the word; False when it can't stand here."""
        states, values = self._states, self.values
        while True:
            action = self._actions[states[-1]].get(terminal)
            if action is None:
                return False
            if isinstance(action, int):
                states.append(action)
                values.append(word)
                return True
            size, build, goes_to = action
            if build is None:
                states[-1] = goes_to[states[-2]]
                continue
            at = len(values) - size
            children = values[at:]
            del states[at + 1 :], values[at:]
            values.append(build(children))
            state = goes_to[states[-1]]
            states.append(state)
            if state == self._end:
                return True

    def shifts(self, terminal: str) -> bool:
        """Say whether the terminal is taken here with nothing to put together before."""
        return isinstance(self._actions[self._states[-1]].get(terminal), int)

    def acceptable(self) -> frozenset[str]:
        """Return the terminals that could stand here."""
        return frozenset(name for name in self._actions[self._states[-1]] if self._would_take(name))

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
            if isinstance(action, int) or states[-1] == self._end:
                return True
            del states[len(states) - action.size :]
            states.append(action.goes_to[states[-1]])
            if states[-1] == self._end:
                return True


class _Beside:
    """lark's hook between lexer and parser: used for the list of terminals alone."""

    always_accept = _BESIDE_THE_GRAMMAR

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """Pass everything on."""
        return stream


@cache
def machine_of_grammar() -> _Machine:
    """Return the tables without what only lark needs of them."""
    tables = lark_tables()
    conf = tables.parse_interactive("").parser_state.parse_conf
    callbacks: Mapping[Any, Callable[[list[Any]], Any]] = conf.callbacks
    jumps: dict[str, dict[int, int]] = {}
    for state, row in conf.states.items():
        for name, (kind, target) in row.items():
            if kind is Shift and not _is_terminal(name):
                jumps.setdefault(name, {})[state] = target
    reductions = {rule: _reduction(rule, callbacks[rule], jumps[rule.origin.name]) for rule in tables.rules}
    actions = {
        state: {
            name: target if kind is Shift else reductions[target]
            for name, (kind, target) in row.items()
            if _is_terminal(name)
        }
        for state, row in conf.states.items()
    }
    return _Machine(
        Lexer(_terminal(each) for each in tables.terminals), actions, conf.start_state, conf.end_state
    )


def _reduction(rule: Rule, build: Callable[[list[Any]], Any], goes_to: Mapping[int, int]) -> _Reduction:
    size = len(rule.expansion)
    passes_on = size == 1 and isinstance(build, ExpandSingleChild)
    return _Reduction(size, None if passes_on else build, goes_to)


def _is_terminal(name: str) -> bool:
    return name.isupper() or name == END


def _terminal(definition: TerminalDef) -> Terminal:
    pattern = definition.pattern
    fixed = pattern.value if isinstance(pattern, PatternStr) else None
    rank = (-definition.priority, -pattern.max_width, -len(pattern.value), definition.name)
    return Terminal(definition.name, pattern.to_regexp(), fixed, rank)


@cache
def lark_tables() -> Lark:
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
