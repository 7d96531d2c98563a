"""The diagnostics of syntax errors."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.diagnostics import Code, Diagnostic, Label
from microseg.lang import vocabulary as words
from microseg.lang.ast import Kind

if TYPE_CHECKING:
    from microseg.lang.ast import Word
    from microseg.source import Span

_FOREIGN_HELP = {
    ";": "nothing stands at the end of a rule or statement: leave out the `;`",
    ">": "an arrow is written `->`",
    "→": "an arrow is written `->`",
    "⇒": "an arrow is written `->`",
    "↔": "both ways is written `<->`",
    "<": "the source comes first: `SRC -> DST`, or `SRC <-> DST` for both ways",
    "*": "everything is written `any`",
    "[": "addresses are written without brackets",
    "]": "addresses are written without brackets",
    "\u2013": "type a plain `-`",
    "\u2014": "type a plain `-`",
    "\u2212": "type a plain `-`",
    "\u00a0": "this is a no-break space: type a plain one",
}
_QUOTES = "“”„\"'"

# What was found, what could have stood there, what couldn't, and what to say then; the first that fits.
_ADVICE: tuple[tuple[frozenset[str], str, str, str], ...] = (
    (frozenset({"AUDIT"}), "SOME", "", "what is denied in audit mode passes: write `expect allow`"),
    (frozenset({"NAME"}), "STRING", "LOG", 'put it in quotes: "{text}"'),
    (frozenset({"NUMBER"}), "ANY", "ADDRESS", "name the protocol as well: `tcp/{text}`"),
    (frozenset({"EQUAL"}), "ONE_WAY", "", "an arrow is written `->`"),
    (frozenset({"EQUAL"}), "NUMBER", "", "leave out the `=`"),
    (frozenset({"MINUS"}), "COMMA", "OR", "services have no difference: list the ones that are meant"),
    (frozenset({"AMPERSAND", "OR"}), "ADDRESS", "", "a single `{text}` stands between two sets"),
    (frozenset({"NAME", "ANY"}), "COLON", "", "services stand behind a colon: `: {text}`"),
    (frozenset({"NAME"}), "AUDIT", "", "write `mode audit`, or `mode enforce`"),
    (
        words.ADDRESSES,
        "ONE_WAY",
        "",
        "put `->` in front of the destination, or `,` between members of a list",
    ),
    (words.ADDRESSES, "COMMA", "", "put a `,` between the members of a list"),
)
_STATEMENT_FORMS = (
    "the statements are `group NAME = ADDRESSES`, `service NAME = SERVICES`, `policy NAME { RULES }`, "
    '`default deny`, `protect NAME from ADDRESSES : SERVICES` and `test "NAME" { EXPECTATIONS }`'
)
_FORMS: defaultdict[Kind | None, str] = defaultdict(
    lambda: _STATEMENT_FORMS,
    {
        Kind.POLICY: "a rule is written `allow SRC -> DST : SERVICES`, with `deny` or `reject` for `allow`",
        Kind.TEST: "an expectation is written `expect allow SRC -> DST : SERVICES`",
    },
)
"""What to say when nothing more exact is known: how the things of a block are written."""

_OPERATOR_WORDS = {"and": "&", "or": "|", "except": "-", "minus": "-", "without": "-"}
_BEGINNINGS = words.STATEMENT_STARTS | {"RBRACE", "LBRACE", words.END}
_BEHIND_SETS = (
    words.STATEMENT_STARTS
    | words.POLICY_ITEM_STARTS
    | {words.END, "EXPECT", "LBRACE", "RBRACE", "EQUAL", "ONE_WAY", "BOTH_WAYS", "COLON"}
)


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A word of the text with the terminal it was taken for."""

    terminal: str
    word: Word


@dataclass(frozen=True, slots=True)
class Context:
    """What surrounds a syntax error.

    Attributes:
        acceptable: the terminals that could have stood there.
        previous: what stands in front of it.
        block: what the innermost open block belongs to, None outside of blocks.
        parenthesis: the innermost open parenthesis of the statement or rule.

    """

    acceptable: frozenset[str]
    previous: Lexeme
    block: Kind | None
    parenthesis: Word | None


def unexpected(found: Lexeme, context: Context, advice: str | None = None) -> Diagnostic:
    """Return the error for a word that can't stand where it does; advice replaces the usual help."""
    if found.terminal == "FOREIGN":
        return foreign(found.word)
    if context.parenthesis and "CLOSE" in context.acceptable and found.terminal in _BEHIND_SETS:
        return _unclosed_parenthesis(found, context.parenthesis)
    if found.terminal == "CLOSE" and not context.parenthesis:
        return _nothing_to_close(found.word)
    if found.terminal == "RBRACE" and not context.block:
        return _nothing_to_close(found.word)
    wanted = words.expected_phrase(context.acceptable)
    shown = words.found_phrase(found.terminal, found.word.text)
    return Diagnostic.of(
        Code.SYNTAX,
        _place(found, context),
        f"expected {wanted}, found {shown}",
        help=_advice(found, context) if advice is None else advice,
    )


def foreign(word: Word) -> Diagnostic:
    """Return the error for a character the language doesn't have."""
    quoted = word.text[0] in _QUOTES
    advice = f'texts stand in straight double quotes: "{word.text.strip(_QUOTES)}"'
    if not quoted:
        advice = _FOREIGN_HELP.get(word.text[0], "names are made of ASCII letters, digits, `_`, `-` and `.`")
    what = "these quotes aren't" if quoted else f"`{word.text[:40]}` isn't"
    return Diagnostic.of(
        Code.UNEXPECTED_CHARACTER, word.span, f"{what} part of the policy language", help=advice
    )


def is_skippable(word: Word) -> bool:
    """Say whether the rest still means something when this foreign character is left out."""
    return word.text in (";", "\u00a0")


def misspelled(found: Lexeme, context: Context, meant: str) -> Diagnostic:
    """Return the error for a word that is nearly the reserved word it should be."""
    return unexpected(found, context, f"did you mean `{words.spelling(meant)}`?")


def unterminated(word: Word) -> Diagnostic:
    """Return the error for a text without its closing quote."""
    return Diagnostic.of(
        Code.UNTERMINATED_STRING,
        word.span,
        "this text has no closing quote",
        help=f'close it on the same line: {word.text[:40].rstrip()}"',
    )


def reserved(word: Word) -> Diagnostic:
    """Return the error for a reserved word used as a name."""
    return Diagnostic.of(
        Code.RESERVED_NAME,
        word.span,
        f"`{word.text}` is a word of the language and can't be a name",
        help=f"choose another name, such as `{word.text}-1` or `my-{word.text}`",
    )


def unclosed_block(brace: Word, found: Lexeme) -> Diagnostic:
    """Return the error for a block that is still open where the next statement starts."""
    shown = words.found_phrase(found.terminal, found.word.text)
    return Diagnostic.of(
        Code.UNCLOSED,
        brace.span,
        "this block is never closed",
        Label(found.word.span, f"still open at {shown}"),
        help="put a `}` behind its last rule",
    )


def too_deep(word: Word) -> Diagnostic:
    """Return the error for an expression with too many parentheses or `!` inside each other."""
    return Diagnostic.of(
        Code.NESTED_TOO_DEEPLY,
        word.span,
        "this expression is nested too deeply",
        help="give its parts names: `group NAME = ...`",
    )


def too_many(span: Span, limit: int) -> Diagnostic:
    """Return the error for a file whose rest was not read."""
    return Diagnostic.of(
        Code.TOO_MANY_ERRORS,
        span,
        f"{limit} syntax errors so far: the rest of this file was not read",
        help="mend these first",
    )


def _unclosed_parenthesis(found: Lexeme, parenthesis: Word) -> Diagnostic:
    shown = words.found_phrase(found.terminal, found.word.text)
    return Diagnostic.of(
        Code.UNCLOSED,
        parenthesis.span,
        "this parenthesis is never closed",
        Label(found.word.span, f"still open at {shown}"),
        help="put a `)` behind its last member",
    )


def _nothing_to_close(word: Word) -> Diagnostic:
    what = "parenthesis" if word.text == ")" else "block"
    return Diagnostic.of(
        Code.UNCLOSED, word.span, f"there is no open {what} here", help=f"leave out the `{word.text}`"
    )


def _place(found: Lexeme, context: Context) -> Span:
    """Return where to point: behind what is incomplete, when the next thing stands on a later line."""
    span, previous = found.word.span, context.previous.word.span
    if span.line > previous.end_line and context.acceptable.isdisjoint(_BEGINNINGS):
        return previous.behind()
    return span


def _advice(found: Lexeme, context: Context) -> str:
    return _misplaced(found, context) or _instead(found, context.acceptable) or _FORMS[context.block]


def _misplaced(found: Lexeme, context: Context) -> str:
    terminal, acceptable = found.terminal, context.acceptable
    if terminal in words.POLICY_ITEM_STARTS and "GROUP" in acceptable:
        return "rules and owners stand inside a policy: `policy NAME { ... }`"
    if terminal == "EXPECT" and not acceptable.isdisjoint({"GROUP", "OWNER"}):
        return 'expectations stand inside a test: `test "NAME" { ... }`'
    if terminal in words.ACTIONS and "EXPECT" in acceptable:
        return f"a test says what it expects: `expect {found.word.text} SRC -> DST`"
    return ""


def _instead(found: Lexeme, acceptable: frozenset[str]) -> str:
    text = found.word.text
    if "OR" in acceptable and text.lower() in _OPERATOR_WORDS:
        return f"write `{_OPERATOR_WORDS[text.lower()]}`"
    for terminals, here, not_here, advice in _ADVICE:
        if found.terminal in terminals and here in acceptable and not_here not in acceptable:
            return advice.format(text=text)
    return ""
