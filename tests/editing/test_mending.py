from __future__ import annotations

from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_policies import packets, policy_text

from microseg.analysis.examine import examine
from microseg.diagnostics import Code, has_errors
from microseg.editing.edits import Edit, Lines, apply
from microseg.editing.fixes import FIXABLE
from microseg.editing.mending import mend
from microseg.editing.overlay import OverlayTree
from microseg.lang.files import parse_tree
from microseg.policy.evaluate import evaluate
from microseg.source import MemoryTree, Span

TODAY = date(2026, 1, 1)
USE = "policy p { allow any -> any : tcp/80 }\n"


def fixed(text: str) -> str:
    content = mend(MemoryTree({"a.mseg": text.encode()}), TODAY).contents.get("a.mseg")
    return text if content is None else content.decode()


CASES = {
    "an unused group": ("group a = 10.0.0.1\n" + USE, USE),
    "an unused service": ("service a = tcp/1\n" + USE, USE),
    "one uncovers another": ("group a = 10.0.0.1\ngroup b = a\ngroup c = b\n" + USE, USE),
    "a comment above stays": ("# why\ngroup a = 10.0.0.1\n" + USE, "# why\n" + USE),
    "a comment beside stays": ("group a = 10.0.0.1  # why\n" + USE, "# why\n" + USE),
    "comments inside stay": (
        "group a =\n  10.0.0.1, # one\n  # two\n  10.0.0.3\n" + USE,
        "# one\n# two\n" + USE,
    ),
    "one of two gaps goes": (USE + "\ngroup a = 10.0.0.1\n\ndefault deny\n", USE + "\ndefault deny\n"),
    "on one line with others": ("default deny group a = 10.0.0.1 " + USE, "default deny " + USE),
    "in front of others": ("group a = 10.0.0.1 " + USE, USE),
    "between others, with a comment": (
        "default deny group a = 10.0.0.1, # why\n 10.0.0.3 " + USE,
        "default deny  # why\n " + USE,
    ),
    "a trailing comma": ("group a = 10.0.0.1 # one\n , # two\n" + USE, "# one\n# two\n" + USE),
    "at the end, without a line end": (USE + "group a = 10.0.0.1", USE),
    "windows line ends": (
        "group a = 10.0.0.1\r\n" + USE.replace("\n", "\r\n"),
        USE.replace("\n", "\r\n"),
    ),
    "a byte order mark": ("\ufeffgroup a = 10.0.0.1\n" + USE, "\ufeff" + USE),
    "a rule twice": (
        "policy p {\n  allow any -> any : tcp/80 log\n  # x\n  allow any -> any:tcp/80   log\n}\n",
        "policy p {\n  allow any -> any : tcp/80 log\n  # x\n}\n",
    ),
    "rules that later ones make redundant": (
        (
            "policy p {\n  allow 10.0.0.1 -> any : tcp/80 # one\n  allow 10.0.0.2 -> any : tcp/80\n"
            "  allow 10.0.0.0/8 -> any : tcp/80\n}\n"
        ),
        "policy p {\n  # one\n  allow 10.0.0.0/8 -> any : tcp/80\n}\n",
    ),
    "one of two rules that make each other redundant": (
        (
            "policy p {\n  allow 10.0.0.0/9 -> any : tcp/80\n  allow 10.0.0.0/8 -> any : tcp/80\n"
            "  allow 10.128.0.0/9 -> any : tcp/80-81\n}\n"
        ),
        "policy p {\n  allow 10.0.0.0/8 -> any : tcp/80\n  allow 10.128.0.0/9 -> any : tcp/80-81\n}\n",
    ),
    "a redundant rule was the only one to use a group": (
        "group a = 10.0.0.1\npolicy p {\n  allow a -> any : tcp/80\n  allow 10.0.0.0/8 -> any : tcp/80\n}\n",
        "policy p {\n  allow 10.0.0.0/8 -> any : tcp/80\n}\n",
    ),
    "a definition twice": (
        "group a = 10.0.0.1, 10.0.0.3\ngroup a = 10.0.0.1,10.0.0.3\npolicy p { allow a -> any }\n",
        "group a = 10.0.0.1, 10.0.0.3\npolicy p { allow a -> any }\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=CASES)
def test_fixed(before: str, after: str) -> None:
    assert fixed(before) == after
    assert fixed(after) == after


LEFT_ALONE = {
    "another log": "policy p {\n  allow any -> any : tcp/80\n  allow any -> any : tcp/80 log\n}\n",
    "another remark": 'policy p {\n  allow any -> any : tcp/80 "a"\n  allow any -> any : tcp/80 "b"\n}\n',
    "another definition": "group a = 10.0.0.1\ngroup a = 10.0.0.2\npolicy p { allow a -> any }\n",
    "an ignore comment": "policy p {\n  allow any -> any : tcp/80 # microseg: ignore MS316\n"
    "  allow any -> any : tcp/80 # microseg: ignore MS316\n}\n",
    "a rule that keeps a shadowed one from matching": "policy p {\n  allow 10.0.0.1 -> any : tcp/80\n"
    "  deny 10.0.0.1 -> any : tcp/80\n  allow 10.0.0.0/8 -> any : tcp\n}\n",
    "redundant but for the log": "policy p {\n  allow 10.0.0.1 -> any : tcp/80 log\n"
    "  allow 10.0.0.0/8 -> any : tcp/80\n}\n",
    "redundant because of the default": "policy p {\n  deny 10.0.0.1 -> any : tcp/80\n"
    "  allow 10.1.0.0/16 -> any : tcp/80\n}\n",
    "a policy that is pointless": "policy p {\n  allow 10.0.0.1 -> any : tcp/80\n}\ndefault allow\n",
    "shadowed by another action": "policy p {\n  allow any -> any\n  deny any -> any : tcp/80\n}\n",
    "a syntax error beside": "group a = 10.0.0.1\npolicy p { allow any -> }\n",
    "an unseen character": "group a = 10.0.0.1 # \u202e\npolicy p { allow a -> any allow a -> any }\n",
}


def test_entries_of_a_list_that_say_nothing_new() -> None:
    lines = [*(f"10.0.{i}.7 # {i}" for i in range(30)), "", "10.0.0.0/16", "::1", "  ::1", "::1-::9"]
    content = "\ufeff" + "\r\n".join(lines)
    tree = MemoryTree({"a.mseg": f'group a = file("a.txt")\n{USE.replace("any ", "a ", 1)}'.encode()})
    whole = OverlayTree(tree, {"a.txt": content.encode()})
    mended = mend(whole, TODAY)
    assert mended.contents.keys() == {"a.txt"}
    expected = [*(f"# {i}" for i in range(30)), "", "10.0.0.0/16", "::1-::9"]
    assert mended.contents["a.txt"].decode() == "\ufeff" + "\r\n".join(expected)
    assert mended.examination.compilation.diagnostics == ()


@pytest.mark.parametrize("text", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_left_alone(text: str) -> None:
    assert fixed(text) == text


_PARTS = [
    "group a = 10.0.0.1, # one\n 10.0.0.3\n",
    "group b = a | 10.1.0.0/16,\n",
    "group b = a | 10.1.0.0/16\n",
    "service s = tcp/80, # s\n  udp/53\n",
    "policy p { allow b -> any : s # x\n allow b -> any : s deny any -> 10.9.9.9 allow b -> any : s }\n",
    "policy q { deny any -> 10.3.0.0/16 deny any -> 10.3.0.0/16 }",
    "# a comment\n",
    "\n\n",
    "default deny\n",
]


@given(st.lists(st.sampled_from(_PARTS), unique=True), st.sampled_from(["\n", "\r\n"]))
def test_a_fix_keeps_the_meaning_and_every_comment(parts: list[str], line_end: str) -> None:
    tree = MemoryTree({"a.mseg": "".join(parts).replace("\n", line_end).encode()})
    before = examine(tree, TODAY).compilation
    mended = mend(tree, TODAY)
    after_tree = MemoryTree({"a.mseg": mended.contents.get("a.mseg", tree.read("a.mseg"))})
    after = mended.examination.compilation
    comments = [
        [each.text for file in parse_tree(t).files for each in file.comments] for t in (tree, after_tree)
    ]
    assert comments[0] == comments[1]
    if not has_errors(before.diagnostics):
        assert after.image is not None
        unfixed = {Code.UNUSED_GROUP, Code.UNUSED_SERVICE, Code.DUPLICATE_RULE}
        assert not unfixed & {each.code for each in after.diagnostics}
        kept = [(it.policy.name, it.rule.canonical()) for it in before.ruleset.ordered()]
        assert [(it.policy.name, it.rule.canonical()) for it in after.ruleset.ordered()] == list(
            dict.fromkeys(kept)
        )


def test_fixing_random_policies_changes_no_packet() -> None:
    changed = 0
    for seed in range(60):
        rng = Random(seed)
        tree = MemoryTree({"a.mseg": policy_text(rng).encode()})
        before = examine(tree, TODAY).compilation
        if before.image is None:
            continue
        mended = mend(tree, TODAY)
        after = mended.examination.compilation
        changed += len(mended.fixed)
        assert not (FIXABLE - {Code.DUPLICATE_RULE}) & {each.code for each in after.diagnostics}
        for packet in packets(rng, before.ruleset, 100):
            was, now = (evaluate(each.ruleset, packet) for each in (before, after))
            assert (was.verdict, was.log) == (now.verdict, now.log), seed
    assert changed > 50


@given(st.text("ab\n\r", max_size=20), st.integers(0, 20))
def test_places_and_offsets_are_each_other_s_inverse(text: str, offset: int) -> None:
    lines = Lines(text)
    at = min(offset, len(text))
    assert lines.offset(*lines.place(at)) == at


def test_edits_are_applied_together_and_overlapping_ones_are_not() -> None:
    text = "one two three\nfour\n"
    first, second = Span("a", 1, 5, 1, 8), Span("a", 2, 1, 2, 5)
    inside = Span("a", 1, 6, 1, 14)
    assert apply(text, [Edit(second, "4"), Edit(first, "2"), Edit(inside, "x")]) == "one 2 three\n4\n"
