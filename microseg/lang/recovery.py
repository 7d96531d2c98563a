"""Going on after a syntax error.

In step with the automaton while all is well. An error is reported once; what is plainly a slip (a misspelled
or reserved word, a missing quote) is mended; otherwise the statement or rule is left out, up to a word that
can only start another one. Words are reserved, so such a word is never anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from microseg.lang import complaints
from microseg.lang import vocabulary as words
from microseg.lang.ast import Broken, Kind, Word
from microseg.lang.complaints import Context, Lexeme
from microseg.source import Span

if TYPE_CHECKING:
    from microseg.diagnostics import Diagnostic

MAX_ERRORS = 100
"""Syntax errors of one file that are reported before its rest is left unread."""
MAX_DEPTH = 300
"""Values on the parser's stack: each parenthesis around something takes at most five, each `!` one."""

_KINDS = {kind.value: kind for kind in Kind}
_ITEM_STARTS = {Kind.POLICY: words.POLICY_ITEM_STARTS, Kind.TEST: words.TEST_ITEM_STARTS}
_NAMED_BY_A_NAME = frozenset({"GROUP", "SERVICE", "POLICY", "PROTECT"})
_ENDS = words.STATEMENT_STARTS | {words.END}


class Automaton(Protocol):
    """The parser's stack, as far as recovery needs it."""

    values: list[Any]
    """What has been recognised and not yet put together: words and nodes."""

    def feed(self, terminal: str, word: Word) -> bool:
        """Take one word; False when it can't stand here."""
        ...

    def shifts(self, terminal: str) -> bool:
        """Say whether the terminal is taken here with nothing to put together before."""
        ...

    def acceptable(self) -> frozenset[str]:
        """Return the terminals that could stand here."""
        ...

    def drop(self) -> Any:  # noqa: ANN401  a word or a node
        """Take the last value off the stack and return it."""
        ...


class Recovery:
    """One run over the words of a file.

    Attributes:
        diagnostics: the syntax errors.
        broken: the statements that were left out.

    """

    def __init__(self, path: str, automaton: Automaton) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.broken: list[Broken] = []
        self._automaton = automaton
        self._previous = Lexeme("", Word("", Span.of_file(path)))
        self._lost = False
        self._braces = 0  # opened and not closed since we got lost
        self._block: int | None = None  # where on the stack the block is open that we got lost in
        self._given_up = False

    @property
    def is_lost(self) -> bool:
        """Whether the words are being left out, after an error."""
        return self._lost or self._given_up

    def take(self, terminal: str, word: Word) -> None:
        """Take the next word of the file."""
        if self._given_up:
            return
        if self._lost:
            self._look_around(Lexeme(terminal, word))
        elif not self._automaton.feed(terminal, word):
            self._reject(Lexeme(terminal, word))
        elif len(self._automaton.values) > MAX_DEPTH:
            self._complain(complaints.too_deep(word))
            self._lose_way()
        self._previous = Lexeme(terminal, word)

    def finish(self) -> None:
        """Take the end of the file, after which the automaton has put everything together."""
        end = Lexeme(words.END, Word("", self._previous.word.span.behind()))
        if self._given_up:
            self._unwind("GROUP")
            self.broken.append(Broken(None, None))
        if self._lost and not self._given_up:
            self._look_around(end)
        elif not self._automaton.feed(end.terminal, end.word):
            self._reject(end)

    def _reject(self, found: Lexeme) -> None:
        """Report a word that can't stand here, and mend it or get lost."""
        if found.terminal == "FOREIGN" and complaints.is_skippable(found.word):
            self._complain(complaints.foreign(found.word))
            return
        context = self._context()
        complaint, mended = self._mended(found, context)
        if complaint:
            self._complain(complaint)
        if mended and self._automaton.feed(mended.terminal, mended.word):
            return
        self._lose_way()
        self._look_around(found)

    def _mended(self, found: Lexeme, context: Context) -> tuple[Diagnostic | None, Lexeme | None]:
        """Return what to say, and what was plainly meant if that is plain."""
        word = found.word
        if found.terminal == "UNTERMINATED":
            return complaints.unterminated(word), Lexeme("STRING", Word(f'{word.text}"', word.span))
        if self._is_reserved_name(found, context):
            # Nobody defines it, so nobody should miss it.
            self.broken += [Broken(Kind.GROUP, word), Broken(Kind.SERVICE, word)]
            return complaints.reserved(word), Lexeme("NAME", word)
        meant = words.misspelled(word.text, context.acceptable) if found.terminal == "NAME" else None
        if meant:
            mended = Lexeme(meant, Word(words.spelling(meant), word.span))
            return complaints.misspelled(found, context, meant), mended
        if found.terminal in _ENDS and context.block and "RBRACE" in context.acceptable:
            return None, None  # only the brace is missing: said when the way is found
        return complaints.unexpected(found, context), None

    def _is_reserved_name(self, found: Lexeme, context: Context) -> bool:
        """Say whether a reserved word was used as a name, rather than a name forgotten in front of it."""
        before = self._previous
        if before.word.span.line != found.word.span.line or not words.is_reserved(found.terminal):
            return False
        return before.terminal in _NAMED_BY_A_NAME or (
            found.terminal in words.STATEMENT_STARTS and "NAME" in context.acceptable
        )

    # Finding the way again.

    def _lose_way(self) -> None:
        self._lost = True
        self._braces = 0
        self._block = self._open_block()

    def _look_around(self, found: Lexeme) -> None:
        """Go on with this word if something starts with it."""
        way = self._way(found)
        if way:
            self._lost = False
            self._automaton.feed(way.terminal, way.word)

    def _way(self, found: Lexeme) -> Lexeme | None:
        """Return the word to go on with, the stack made ready for it; None to stay lost."""
        terminal = found.terminal
        if terminal in _ENDS:
            return self._start(found)
        if terminal == "LBRACE":
            if self._block is None and not self._braces and self._reopened():
                return found
            self._braces += 1
            return None
        if self._braces:
            self._braces -= terminal == "RBRACE"
            return None
        if self._block is None:
            return self._misspelled_start(found)
        if terminal == "RBRACE" or terminal in _ITEM_STARTS[self._kind()]:
            self._unwind(terminal)
            return found
        return None

    def _start(self, found: Lexeme) -> Lexeme:
        """Make ready for a statement or the end of the file."""
        if self._block is None:
            self._unwind("GROUP")
        else:
            self._complain(complaints.unclosed_block(self._automaton.values[self._block], found))
            self._unwind("RBRACE")
            self._automaton.feed("RBRACE", Word("}", found.word.span))
        return found

    def _misspelled_start(self, found: Lexeme) -> Lexeme | None:
        """Take a word at the very start of a line for the statement it nearly is."""
        word = found.word
        if (
            found.terminal != "NAME"
            or word.span.column > 1
            or self._previous.word.span.line == word.span.line
        ):
            return None
        meant = words.misspelled(word.text, words.STATEMENT_STARTS)
        if meant is None:
            return None
        self._unwind("GROUP")
        context = Context(words.STATEMENT_STARTS, self._previous, None, None)
        self._complain(complaints.misspelled(found, context, meant))
        return Lexeme(meant, Word(words.spelling(meant), word.span))

    def _reopened(self) -> bool:
        """Make a block of a policy or test whose first line has an error; say whether there is one."""
        head = self._head()
        if head is None or self._kind() not in _ITEM_STARTS or _is_word(self._automaton.values[-1], "}"):
            return False
        self._unwind("GROUP")
        terminal = head.text.upper()
        self._automaton.feed(terminal, head)
        # A name that can't be written marks the statement as broken.
        self._automaton.feed("STRING" if terminal == "TEST" else "NAME", Word("", head.span))
        return True

    def _unwind(self, terminal: str) -> None:
        """Take values off the stack until the terminal can start something, and note what gets lost."""
        dropped: list[Any] = []
        while not self._automaton.shifts(terminal):
            dropped.append(self._automaton.drop())
        if terminal == "GROUP" and self._lost:
            self.broken.append(_broken(dropped[::-1]))

    # Looking at the stack.

    def _open_block(self) -> int | None:
        """Return where on the stack the brace of the open block is."""
        values = self._automaton.values
        for index in range(len(values) - 1, -1, -1):
            if _is_word(values[index], "{"):
                return index
            if _is_word(values[index], "}"):
                return None  # a block that is complete, and not put together yet
        return None

    def _head(self) -> Word | None:
        """Return the first word of the statement that isn't complete."""
        return next((value for value in self._automaton.values if isinstance(value, Word)), None)

    def _kind(self) -> Kind:
        """Return what the statement that isn't complete is going to be."""
        head = self._head()
        assert head, "only asked inside a statement"
        return _KINDS[head.text]

    def _context(self) -> Context:
        block = self._open_block()
        parentheses: list[Word] = []
        for value in self._automaton.values[(block or 0) :]:
            if _is_word(value, "("):
                parentheses.append(value)
            elif _is_word(value, ")"):
                parentheses.pop()
        return Context(
            self._automaton.acceptable(),
            self._previous,
            None if block is None else self._kind(),
            parentheses[-1] if parentheses else None,
        )

    def _complain(self, diagnostic: Diagnostic) -> None:
        self.diagnostics.append(diagnostic)
        if len(self.diagnostics) == MAX_ERRORS:
            self.diagnostics.append(complaints.too_many(diagnostic.span, MAX_ERRORS))
            self._given_up = True


def _is_word(value: object, text: str) -> bool:
    return isinstance(value, Word) and value.text == text


def _broken(dropped: list[Any]) -> Broken:
    """Return what the values taken off the stack were going to be."""
    if not dropped or not isinstance(dropped[0], Word) or dropped[0].text not in _KINDS:
        return Broken(None, None)
    kind = _KINDS[dropped[0].text]
    has_name = kind is not Kind.DEFAULT and len(dropped) > 1 and isinstance(dropped[1], Word)
    return Broken(kind, dropped[1] if has_name else None)
