"""What lint says: which findings, in which words, and that its advice helps."""

from __future__ import annotations

from datetime import date
from random import Random

import pytest
from random_rulesets import Maker
from universe import small

from microseg.analysis import lint, proofs, protection, taste
from microseg.analysis.book import Book
from microseg.analysis.examine import examine
from microseg.analysis.taste import OpenSide
from microseg.diagnostics import Code, Diagnostic
from microseg.source import MemoryTree

UNIVERSE = small()
TODAY = date(2026, 6, 1)
EVERYTHING = taste.Options(repeated_default=True)


def remarks(text: str, options: taste.Options = taste.DEFAULT_OPTIONS) -> list[Diagnostic]:
    examination = examine(MemoryTree({"p.mseg": text.encode()}), TODAY, review=options)
    return list(examination.compilation.diagnostics)


def codes(text: str, options: taste.Options = taste.DEFAULT_OPTIONS) -> list[tuple[int, Code]]:
    return [(each.span.line, each.code) for each in remarks(text, options)]


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ("allow 10.0.0.0/8 -> any", "allow 10.0.0.0/8 -> any", "MS302"),
        ("allow 10.0.0.0/8 -> any", "allow 10.0.0.0/8 -> any log", "MS302"),
        ("allow 10.0.0.0/8 -> any", "deny 10.0.0.0/8 -> any", "MS301"),
        ("allow 10.0.0.0/8 -> any", "deny 10.1.0.0/16 -> 10.2.0.0/16 : tcp/80", "MS301"),
        ("allow 10.0.0.0/8 -> any : tcp", "deny 10.1.0.0/16 -> any : tcp/80-90, tcp/22", "MS301"),
        ("allow any -> any : tcp/80-90", "deny any -> any : tcp/85 from 68", "MS301"),
        ("allow 10.0.0.1 <-> 10.0.0.2", "deny 10.0.0.2 -> 10.0.0.1", "MS301"),
        ("allow 10.0.0.0/24 <-> any", "deny 10.0.0.1 <-> 10.0.0.2", "MS301"),
        ("allow any4 -> any4", "deny 10.0.0.1 - 10.0.0.7 -> any4", "MS301"),
        ("allow any -> any expires 2027-01-01", "deny any -> any : tcp expires 2026-12-01", "MS301"),
    ],
)
def test_a_rule_that_one_earlier_rule_covers(first: str, second: str, code: str) -> None:
    assert idle(first, second) == [(3, code)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("allow 10.0.0.0/8 -> any : tcp/80", "deny 10.0.0.0/8 -> any"),
        ("allow 10.0.0.0/8 -> any", "deny 10.0.0.0/7 -> any"),
        ("allow 10.0.0.0/8 -> any : tcp from 68", "deny 10.0.0.0/8 -> any : tcp/80"),
        ("allow 10.0.0.1 -> 10.0.0.2", "deny 10.0.0.1 <-> 10.0.0.2"),
        ("allow any4 -> any4", "deny 10.0.0.1, ::1 -> any"),
        # The earlier rule goes first: the later one matches then.
        ("allow any -> any expires 2027-01-01", "deny any -> any : tcp"),
        ("allow any -> any expires 2027-01-01", "deny any -> any : tcp expires 2027-01-02"),
        # The earlier rule is gone already.
        ("allow any -> any expires 2026-01-01", "deny any -> any : tcp"),
    ],
)
def test_a_rule_that_can_still_match(first: str, second: str) -> None:
    assert idle(first, second) == []


def idle(*rules: str) -> list[tuple[int, str]]:
    found = codes("\n".join(["policy p {", *rules, "}"]))
    wanted = (Code.SHADOWED_RULE, Code.DUPLICATE_RULE)
    return [(line, code.value) for line, code in found if code in wanted]


def test_rules_that_only_together_shadow_another_are_all_named() -> None:
    (found,) = remarks(
        """policy shop {
          allow 10.0.0.0/25 -> 10.1.0.0/16 : tcp
          deny 10.0.9.0/24 -> 10.1.0.0/16 : tcp
          deny 10.0.0.128/25 -> 10.1.0.0/16
          deny 10.0.0.0/24 -> 10.1.1.0/24 : tcp/80
        }"""
    )
    assert (found.code, found.span.line) == (Code.SHADOWED_RULE, 5)
    assert found.message == "this rule never matches: 2 earlier rules together decide every packet it could"
    assert [(label.span.line, label.text) for label in found.labels] == [
        (2, "this one says allow to some of them"),
        (4, "this one says deny to some of them"),
    ]
    assert found.help == "move it above line 2, or delete it"


def test_a_policy_before_it_can_shadow_a_rule() -> None:
    (found,) = remarks(
        """policy first priority 1 { deny any -> 10.1.0.0/16 log }
        policy second priority 2 { allow 10.2.0.0/16 -> 10.1.1.0/24 : tcp/80 }"""
    )
    assert found.code is Code.SHADOWED_RULE
    assert found.help == "delete it, or give policy `second` a lower priority number"


def test_what_expires_first_shadows_nothing() -> None:
    rule = "10.0.0.0/8 -> 10.1.0.0/16 : tcp/80"
    assert codes(f"policy p {{ allow {rule} expires 2027-01-01 deny {rule} }}") == []
    assert codes(f"policy p {{ deny {rule} allow {rule} expires 2027-01-01 }}") == [(1, Code.SHADOWED_RULE)]


def test_a_rule_that_a_later_one_makes_redundant() -> None:
    text = """policy p {
      allow 10.0.0.1 -> 10.1.0.1 : tcp/80
      {between}
      allow 10.0.0.0/24 -> 10.1.0.0/24 : tcp/80-90
    }"""
    assert codes(text.replace("{between}", "")) == [(2, Code.REDUNDANT_RULE)]
    assert codes(text.replace("{between}", "deny 10.0.0.1 -> any : udp log")) == [(2, Code.REDUNDANT_RULE)]
    assert codes(text.replace("{between}", "deny 10.0.0.1 -> any : tcp/80")) == []


def test_a_logged_denial_is_not_what_a_silent_default_does() -> None:
    text = "policy p { allow 10.0.0.1 -> 10.1.0.1 deny any -> 10.1.0.0/16 log }\ndefault deny"
    assert codes(text, EVERYTHING) == []
    assert codes(f"{text} log", EVERYTHING) == [(1, Code.REPEATED_DEFAULT)]
    assert codes(f"{text} log") == []


def test_a_default_makes_a_policy_pointless() -> None:
    policy = "policy p { allow 10.0.0.1 -> 10.1.0.1 : tcp/80 allow 10.0.0.2 -> 10.1.0.1 : tcp/80 }"
    assert codes(f"{policy}\ndefault allow") == [(1, Code.POINTLESS_POLICY)]
    assert codes(f"{policy}\ndefault allow log") == []
    assert codes(f"{policy}\ndefault deny") == []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("allow any -> 10.1.0.1", True),
        ("allow !10.0.0.0/8 -> any4", True),
        ("allow any -> 10.1.0.1 : udp/1-40000", True),
        ("allow any -> 10.1.0.1 : tcp/1-1024", False),
        ("allow any -> any : icmp", False),
        ("allow 10.0.0.0/8 -> any", False),
        ("deny any -> 10.1.0.1 log", False),
    ],
)
def test_broad_rules(*, rule: str, expected: bool) -> None:
    assert (Code.BROAD_ALLOW in [code for _, code in codes(f"policy p {{ {rule} }}")]) is expected


def test_which_sides_are_too_open_can_be_set() -> None:
    text = "policy p { allow 10.0.0.0/8 -> any }"
    towards = taste.Options(too_open=frozenset({OpenSide.DESTINATION, OpenSide.SERVICE}))
    assert codes(text, towards) == [(1, Code.BROAD_ALLOW)]
    assert codes("policy p { allow any -> any }", taste.Options(too_open=frozenset())) == []


def test_a_remark_can_be_silenced_where_it_stands() -> None:
    assert codes("policy p {\nallow any -> 10.1.0.1  # microseg: ignore MS316\n}") == []


def test_nothing_is_remarked_on_while_policies_are_in_conflict() -> None:
    text = "policy a { allow any -> 10.1.0.1 }\npolicy b { deny any -> 10.1.0.1 }"
    assert codes(text) == [(2, Code.CONFLICT)]


def test_of_two_rules_of_which_either_could_go_one_is_named() -> None:
    rule = "allow 10.0.0.1 -> 10.1.0.1 : tcp/80"
    assert codes(f"policy p {{\n{rule}\n{rule}\n}}") == [(3, Code.DUPLICATE_RULE)]
    either = "policy {0} priority {1} {{ allow 10.0.0.1, 10.0.0.{1} -> 10.1.0.1 : tcp/80 }}\n"
    last = "policy z { allow 10.0.0.2, 10.0.0.3 -> 10.1.0.1 : tcp }"
    assert codes(either.format("a", 2) + either.format("b", 3) + last) == [(1, Code.POINTLESS_POLICY)]


def test_a_rule_that_keeps_a_shadowed_one_from_matching_is_not_redundant() -> None:
    text = """policy p {
      allow 10.0.0.1 -> 10.1.0.1 : tcp/80
      deny 10.0.0.1 -> 10.1.0.1 : tcp/80
      allow 10.0.0.0/24 -> 10.1.0.1 : tcp
    }"""
    assert codes(text) == [(3, Code.SHADOWED_RULE)]


def test_a_policy_is_pointless_though_its_rules_differ() -> None:
    text = """policy p priority 1 {
      deny 10.0.0.1 -> 10.1.0.1 : tcp/80
      allow 10.0.0.0/24 -> 10.1.0.1 : tcp/80
    }
    policy q priority 2 {
      deny 10.0.0.1 -> 10.1.0.0/24 : tcp
      allow 10.0.0.0/16 -> 10.1.0.0/24 : tcp
    }"""
    assert codes(text) == [(1, Code.POINTLESS_POLICY)]


def test_every_finding_of_random_policies_can_be_told() -> None:
    seen: set[Code] = set()
    for seed in range(300):
        maker = Maker(Random(seed))
        ruleset = maker.ruleset()
        book = Book(ruleset, [*proofs.spoken_of(ruleset), *protection.spoken_of(ruleset)])
        seen |= {each.code for each in lint.findings(book, EVERYTHING)}
    assert seen >= {Code.SHADOWED_RULE, Code.REDUNDANT_RULE, Code.REPEATED_DEFAULT, Code.POINTLESS_POLICY}
