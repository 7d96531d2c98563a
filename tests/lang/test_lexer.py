"""Our lexer finds the words that lark's own finds in the same grammar, at the same places."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from microseg.lang import parser
from microseg.lang.ast import Comment

WORDS = [
    *(
        "group",
        "groups",
        "any",
        "any4",
        "any44",
        "web-app",
        "web - app",
        "a.b",
        "_x",
        "allow",
        "Allow",
        "log",
    ),
    *("10.0.0.1", "10.0.0.0/8", "10.0.0.300", "2001:db8::/32", "::1", "::", "1:2", "2027-01-31", "80", "80x"),
    *("->", "<->", "<-", ">", "-", "--", "=", "{", "}", "(", ")", "|", "&", "!", ",", "/", ":", "tcp/80"),
    *('"text"', '"open', "'single'", "\u201cquoted\u201d", "\u00e4\u00f6", "# a comment", "#", ";", "\u2028"),
    *(" ", "\t", "\n", "\r\n", "\n\n  ", " \n"),
]
texts = st.lists(st.sampled_from(WORDS) | st.characters(), max_size=30).map("".join)


def words_of_lark(text: str) -> list[tuple[str, str, int | None, int | None, int | None, int | None]]:
    return [
        (each.type, str(each), each.line, each.column, each.end_line, each.end_column)
        for each in parser.lark_tables().lex(text)
    ]


def our_words(text: str) -> list[tuple[str, str, int, int, int, int]]:
    return [
        (terminal, word.text, *word.span[1:])
        for terminal, word in parser.machine_of_grammar().lexer.every_word("p.mseg", text)
    ]


@given(texts)
def test_the_words_are_those_of_lark(text: str) -> None:
    assert our_words(text) == words_of_lark(text)


def test_a_comment_is_without_the_blanks_behind_it() -> None:
    comments: list[Comment] = []
    assert not list(parser.machine_of_grammar().lexer.words("p.mseg", "  # why \t \n", comments))
    [comment] = comments
    assert (comment.text, comment.own_line, comment.span[1:]) == ("# why", True, (1, 3, 1, 8))
