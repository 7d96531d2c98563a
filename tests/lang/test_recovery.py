"""All syntax errors in one run, none of them invented."""

from __future__ import annotations

import time

import pytest

from microseg.diagnostics import Code
from microseg.lang import ast
from microseg.lang.ast import Broken, Kind
from microseg.lang.parser import parse
from microseg.lang.recovery import MAX_ERRORS


def errors(text: str) -> list[str]:
    """Return the errors as `code line:column message`."""
    _, diagnostics = parse("p", text)
    return [f"{each.code.value} {each.span.line}:{each.span.column} {each.message}" for each in diagnostics]


def helps(text: str) -> str:
    _, diagnostics = parse("p", text)
    [only] = diagnostics
    return only.help


def in_policy(rule: str) -> str:
    return f"policy p {{\n{rule}\nallow x -> y\n}}"


def test_one_error_for_each_broken_statement_and_rule() -> None:
    text = """\
group a = 10.0.0.1 |
group b 10.0.0.2
group c = 10.0.0.3
policy p {
  allow a b
  deny a -> b
  deny -> b
}
service s = tcp/
default deny
"""
    assert errors(text) == [
        "MS001 1:21 expected a set of addresses, found `group`",
        "MS001 2:9 expected `=`, found `10.0.0.2`",
        "MS001 5:11 expected `->`, found `b`",
        "MS001 7:8 expected a set of addresses, found `->`",
        "MS001 9:17 expected a name or a number, found `default`",
    ]
    file, _ = parse("p", text)
    assert [type(statement).__name__ for statement in file.statements] == ["Group", "Policy", "Default"]
    policy = file.statements[1]
    assert isinstance(policy, ast.Policy)
    assert len(policy.rules) == 1
    assert [(each.kind, each.name and each.name.text) for each in file.broken] == [
        (Kind.GROUP, "a"),
        (Kind.GROUP, "b"),
        (Kind.SERVICE, "s"),
    ]


def test_a_broken_first_line_does_not_hide_the_block() -> None:
    text = "policy p mode loud {\n  allow a - > b\n  allow a -> b\n}\ngroup g = a"
    assert errors(text) == [
        "MS001 1:15 expected `audit` or `enforce`, found `loud`",
        "MS002 2:13 `>` isn't part of the policy language",
    ]
    file, _ = parse("p", text)
    # The policy itself is left out, what stands behind it is not.
    assert [type(statement).__name__ for statement in file.statements] == ["Group"]
    assert file.broken[0].kind is Kind.POLICY


def test_a_policy_without_a_name() -> None:
    assert errors("policy {\n allow a\n}") == [
        "MS001 1:8 expected a name, found `{`",
        "MS001 2:9 expected `->`, found `}`",
    ]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("polcy p { allow a -> b }", "policy"),
        ("policy p prority 5 { allow a -> b }", "priority"),
        ("policy p { alow a -> b }", "allow"),
        ("policy p { drop a -> b }", "deny"),
        ("policy p { permit a -> b }", "allow"),
        ("default block", "deny"),
        ('test "x" { expct allow a -> b }', "expect"),
        ("policy p { allow a -> b expire 2027-01-01 }", "expires"),
        ("policy p { allow a -> b LOG }", "log"),
        ("protect ssh form 10.0.0.0/8", "from"),
    ],
)
def test_a_misspelled_word_is_reported_and_taken_for_what_it_means(text: str, word: str) -> None:
    assert helps(text) == f"did you mean `{word}`?"
    file, _ = parse("p", text)
    assert len(file.statements) == 1
    assert not file.broken


def test_a_reserved_word_as_a_name() -> None:
    text = "group log = 10.0.0.1\ngroup b = 10.0.0.2"
    assert errors(text) == ["MS108 1:7 `log` is a word of the language and can't be a name"]
    file, _ = parse("p", text)
    assert len(file.statements) == 2


def test_a_forgotten_name_does_not_swallow_the_next_statement() -> None:
    text = "group\npolicy p { allow a -> b }"
    assert errors(text) == ["MS001 1:6 expected a name, found `policy`"]
    file, _ = parse("p", text)
    assert len(file.statements) == 1


def test_an_unterminated_text() -> None:
    text = 'policy p { owner "ops\n allow a -> b "why\n}'
    assert errors(text) == [
        "MS003 1:18 this text has no closing quote",
        "MS003 2:15 this text has no closing quote",
    ]
    file, _ = parse("p", text)
    assert len(file.statements) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("policy p { allow a -> b", "MS008 1:10 this block is never closed"),
        ("policy p { allow a -> b\ngroup g = a", "MS008 1:10 this block is never closed"),
        ('test "x" {', "MS008 1:10 this block is never closed"),
        ("group g = (a | b\ngroup h = a", "MS008 1:11 this parenthesis is never closed"),
        ("policy p { allow (a -> b }", "MS008 1:18 this parenthesis is never closed"),
        ('group g = file("x"', "MS008 1:15 this parenthesis is never closed"),
        ("group g = a)", "MS008 1:12 there is no open parenthesis here"),
        ("policy p { allow a -> b } }", "MS008 1:27 there is no open block here"),
    ],
)
def test_braces_and_parentheses_without_partner(text: str, expected: str) -> None:
    assert errors(text) == [expected]


def test_an_unclosed_block_keeps_the_policy_and_the_statement_behind() -> None:
    file, _ = parse("p", "policy p { allow a -> b\ngroup g = a")
    assert [type(statement).__name__ for statement in file.statements] == ["Policy", "Group"]


def test_nested_braces_are_skipped_as_a_whole() -> None:
    text = "policy p {\n allow {a {b} c} -> d\n allow a -> b\n}\ndefault deny"
    assert errors(text) == ["MS001 2:8 expected a set of addresses, found `{`"]
    file, _ = parse("p", text)
    assert len(file.statements) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (in_policy("allow a → b"), "an arrow is written `->`"),
        (in_policy("allow a => b"), "an arrow is written `->`"),
        (in_policy("allow a <- b"), "the source comes first: `SRC -> DST`, or `SRC <-> DST` for both ways"),
        (in_policy("allow a -> *"), "everything is written `any`"),
        (in_policy("allow [::1] -> a"), "addresses are written without brackets"),
        (in_policy("allow a -> b : 80"), "name the protocol as well: `tcp/80`"),
        (in_policy("allow a -> b http"), "services stand behind a colon: `: http`"),
        (in_policy("allow a -> b : http ssh"), "put a `,` between the members of a list"),
        (in_policy("allow a and b -> c"), "write `&`"),
        (in_policy("allow a && b -> c"), "a single `&` stands between two sets"),
        (in_policy("owner ops"), 'put it in quotes: "ops"'),
        (in_policy("owner 'ops'"), 'texts stand in straight double quotes: "ops"'),
        (in_policy("owner “ops”"), 'texts stand in straight double quotes: "ops"'),
        (in_policy("expect allow a -> b"), 'expectations stand inside a test: `test "NAME" { ... }`'),
        ("group a = 10.0.0.1 10.0.0.2", "put a `,` between the members of a list"),
        ("group é = 10.0.0.1", "names are made of ASCII letters, digits, `_`, `-` and `.`"),
        ("policy p priority = 5 { allow a -> b }", "leave out the `=`"),
        ("service s = http - ssh", "services have no difference: list the ones that are meant"),
        ("allow a -> b", "rules and owners stand inside a policy: `policy NAME { ... }`"),
        ('test "x" { allow a -> b }', "a test says what it expects: `expect allow SRC -> DST`"),
        ('test "x" { expect audit a -> b }', "what is denied in audit mode passes: write `expect allow`"),
    ],
)
def test_what_to_type_instead(text: str, expected: str) -> None:
    assert helps(text) == expected


def test_semicolons_are_reported_and_left_out() -> None:
    text = "policy p { allow a -> b; deny a -> b; }"
    assert [error[:4] for error in errors(text)] == ["MS00", "MS00"]
    file, _ = parse("p", text)
    [policy] = file.statements
    assert isinstance(policy, ast.Policy)
    assert len(policy.rules) == 2


def test_something_incomplete_is_shown_at_its_end() -> None:
    assert errors("group a =\n\n\ngroup b = 10.0.0.1") == [
        "MS001 1:10 expected a set of addresses, found `group`"
    ]
    assert errors("group a = 10.0.0.1 - # why\n\n") == [
        "MS001 1:21 expected a set of addresses, found the end of the file"
    ]


def test_unknown_kind_of_statement() -> None:
    file, diagnostics = parse("p", "web = 10.0.0.1")
    assert diagnostics[0].message.startswith("expected a statement")
    assert file.broken == (Broken(None, None),)


@pytest.mark.parametrize("nest", ["(", "!", "!(", "a | (", "(!(b - "])
@pytest.mark.parametrize("times", [10_000])
def test_deep_nesting_is_refused_in_bounded_time(nest: str, times: int) -> None:
    started = time.monotonic()
    file, diagnostics = parse("p", f"group g = {nest * times}\ngroup h = 10.0.0.1")
    assert [each.code for each in diagnostics] == [Code.NESTED_TOO_DEEPLY]
    assert len(file.statements) == 1
    assert time.monotonic() - started < 10


def test_nesting_that_people_write_is_fine() -> None:
    assert errors(f"group g = {'(a | ' * 40}b{')' * 40}") == []


def test_long_lists_are_no_nesting() -> None:
    file, diagnostics = parse("p", f"group g = {' | '.join(['a', 'b - c'] * 2000)}")
    assert diagnostics == []
    assert len(file.statements) == 1


def test_endless_errors_are_cut_off() -> None:
    text = "group = 1\n" * (MAX_ERRORS * 3)
    file, diagnostics = parse("p", text)
    assert len(diagnostics) == MAX_ERRORS + 1
    assert diagnostics[-1].code is Code.TOO_MANY_ERRORS
    assert file.broken[-1] == Broken(None, None)


def test_a_reserved_word_used_as_a_group_is_no_reason_for_more_errors() -> None:
    text = "policy p { deny test -> any }\npolicy q { deny any -> any }"
    assert errors(text) == ["MS108 1:17 `test` is a word of the language and can't be a name"]
    file, _ = parse("p", text)
    assert len(file.statements) == 2
    assert Kind.GROUP in {each.kind for each in file.broken}


def test_a_misspelled_statement_behind_an_error_is_still_found() -> None:
    text = "group a\npolcy p {\n allow b\n}\n"
    assert [error[:8] for error in errors(text)] == ["MS001 1:", "MS001 2:", "MS001 3:"]
    assert errors("group a b,\n polcy,\n c") == ["MS001 1:9 expected `=`, found `b`"]
