"""The canonical form: the same meaning, all comments, and nothing left to change."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lang.trees import ADDRESSES, FILES, bare
from random_policies import policy_text

from microseg.lang import ast, spelling
from microseg.lang.parser import parse
from microseg.lang.printer import WIDTH, print_file


def printed(text: str) -> str:
    file, diagnostics = parse("p", text)
    assert diagnostics == []
    return print_file(file)


@given(FILES)
def test_a_printed_tree_is_parsed_to_the_same_tree(file: ast.File) -> None:
    text = print_file(file)
    parsed, diagnostics = parse("p", text)
    assert diagnostics == []
    assert bare(parsed.statements) == bare(file.statements)
    assert print_file(parsed) == text


@given(ADDRESSES)
def test_a_printed_set_is_parsed_to_the_same_set(node: ast.Addresses) -> None:
    file, diagnostics = parse("p", f"group g = {spelling.addresses(node)}")
    assert diagnostics == []
    [group] = file.statements
    assert isinstance(group, ast.Group)
    assert bare(group.addresses) == bare(node)


BETWEEN = ["\n", "\n\n\n", " # one\n", "\n# two\n", " # microseg: ignore MS301\n\n# three\n"]
GAPS = st.lists(st.tuples(st.integers(0, 999), st.sampled_from(BETWEEN)), max_size=12)


@given(st.integers(0, 2**32), GAPS)
def test_wherever_comments_stand_none_is_lost_and_once_is_enough(
    seed: int, gaps: list[tuple[int, str]]
) -> None:
    words = policy_text(Random(seed)).split(" ")
    for place, gap in gaps:
        words[place % len(words)] += gap
    before, diagnostics = parse("p", " ".join(words))
    assert diagnostics == []
    text = print_file(before)
    after, _ = parse("p", text)
    assert bare(after.statements) == bare(before.statements)
    assert sorted(each.text for each in after.comments) == sorted(each.text for each in before.comments)
    assert print_file(after) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("# only", "# only\n"),
        ("group  a=10.0.0.1-10.0.0.9,::1 ,", "group a = 10.0.0.1 - 10.0.0.9, ::1\n"),
        ("group a = ((b)|(c & (d)))-(e,f)", "group a = (b | c & d) - (e, f)\n"),
        ("group a = 10.0.0.1 - (10.0.0.9)", "group a = 10.0.0.1 - (10.0.0.9)\n"),
        ("group a = b - (10.0.0.1) - (10.0.0.9)", "group a = b - 10.0.0.1 - (10.0.0.9)\n"),
        ("group a = !( 10.0.0.1 ) - (10.0.0.2-10.0.0.3)", "group a = !10.0.0.1 - (10.0.0.2 - 10.0.0.3)\n"),
        ("service s=udp/67 from 68-70,icmp / 3 / 4", "service s = udp/67 from 68-70, icmp/3/4\n"),
        ("default deny log", "default deny log\n"),
        ("protect s from a:tcp/22", "protect s from a : tcp/22\n"),
        ("policy p{}", "policy p {\n}\n"),
        (
            'policy p mode audit priority 5{owner "x" allow a<->b:c "why" log}',
            'policy p mode audit priority 5 {\n  owner "x"\n  allow a <-> b : c log "why"\n}\n',
        ),
        (
            'test "x"{expect some deny a->b expect allow a->b:c}',
            'test "x" {\n  expect some deny a -> b\n  expect allow a -> b : c\n}\n',
        ),
        ("group a = b\r\n\r\n\r\n\r\ngroup b = c", "group a = b\n\ngroup b = c\n"),
        ("policy p {} default deny\npolicy q {}", "policy p {\n}\n\ndefault deny\n\npolicy q {\n}\n"),
    ],
)
def test_canonical_form(text: str, expected: str) -> None:
    assert printed(text) == expected


def test_comments_stay_where_they_belong() -> None:
    text = """\
# about the file

# about web
group web = 10.0.0.1   # the old one
group app =  # all of them
   10.0.0.2 , # first
   # not in use
   10.0.0.3
policy p { # in front
  # about the rule
  allow web # in the middle
    -> app # behind

  # at the end
} # behind the block
# the last word
"""
    assert (
        printed(text)
        == """\
# about the file

# about web
group web = 10.0.0.1  # the old one
group app =  # all of them
  10.0.0.2,  # first
  # not in use
  10.0.0.3,

policy p {  # in front
  # about the rule
  # in the middle
  allow web -> app  # behind

  # at the end
}  # behind the block
# the last word
"""
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("policy p # one\n { # two\n}", "# one\npolicy p {  # two\n}\n"),
        ("group a# one\n = b, c", "group a =  # one\n  b,\n  c,\n"),
        ("group a = # one\n # two\n b", "# one\n# two\ngroup a = b\n"),
    ],
)
def test_comments_in_odd_places(text: str, expected: str) -> None:
    assert printed(text) == expected
    assert printed(expected) == expected


def test_what_is_too_long_gets_more_lines() -> None:
    members = [f"10.0.0.{number}" for number in range(1, 12)]
    assert printed(f"group g = {', '.join(members)}").splitlines() == [
        "group g =",
        *(f"  {member}," for member in members),
    ]
    names = [f"a-rather-long-name-{number}" for number in range(6)]
    assert printed(f"group g = {' | '.join(names)}").splitlines() == [
        "group g =",
        f"  {names[0]}",
        *(f"  | {name}" for name in names[1:]),
    ]
    source, destination = " | ".join(names[:3]), ", ".join(names[3:])
    assert printed(f"policy p {{ allow {source} -> {destination} : http log }}").splitlines() == [
        "policy p {",
        f"  allow {source}",
        f"    -> {destination}",
        "    : http",
        "    log",
        "}",
    ]


def test_width() -> None:
    name = "n" * (WIDTH - len("group g = a, "))
    assert printed(f"group g = a, {name}").count("\n") == 1
    assert printed(f"group g = a, {name}n").count("\n") == 3
