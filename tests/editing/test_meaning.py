"""What an edit does to packets, told exactly."""

from __future__ import annotations

from datetime import date
from random import Random

import pytest
from random_policies import policy_text

from microseg.editing.meaning import is_kept_by
from microseg.lang.parser import parse
from microseg.lang.printer import print_file
from microseg.source import MemoryTree

TODAY = date(2026, 1, 1)
POLICY = "group a = 10.0.0.1\npolicy p { allow a -> any : tcp/80 deny a -> 10.1.0.0/16 }\ndefault allow\n"


def kept(before: str, after: str) -> bool:
    return is_kept_by({"a.mseg": after.encode()}, MemoryTree({"a.mseg": before.encode()}), TODAY)


def test_formatting_random_policies_keeps_what_they_do() -> None:
    for seed in range(60):
        text = " ".join(policy_text(Random(seed)).split())
        file, problems = parse("a.mseg", text)
        assert problems == []
        assert kept(text, print_file(file)), seed


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("tcp/80", "tcp/80, tcp/81", False),
        ("tcp/80", "tcp/80 log", False),
        ("default allow", "default deny", False),
        ("10.0.0.1\n", "10.0.0.1\n|", False),
        ("10.0.0.1\n", "10.0.0.1 # the host\n", True),
        ("allow a ->", "allow 10.0.0.1 ->", True),
        ("deny a -> 10.1.0.0/16", "deny a -> 10.1.0.0/16 deny a -> 10.1.1.1", True),
    ],
)
def test_an_edit(*, old: str, new: str, expected: bool) -> None:
    assert old in POLICY
    assert kept(POLICY, POLICY.replace(old, new)) is expected


def test_a_wrong_policy_may_become_anything() -> None:
    assert kept("group", POLICY)
