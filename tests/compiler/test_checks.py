"""What a policy says that its author probably doesn't mean."""

from __future__ import annotations

from datetime import date

import pytest

from microseg.compiler.pipeline import compile_tree
from microseg.diagnostics import Code, Severity
from microseg.source import MemoryTree

TODAY = date(2026, 6, 1)


def found(text: str, today: date = TODAY) -> list[tuple[str, int]]:
    """Return code and line of everything there is to say about a policy file."""
    compilation = compile_tree(MemoryTree({"p.mseg": text.encode()}), today)
    return [(each.code.value, each.span.line) for each in compilation.diagnostics]


def in_policy(*rules: str) -> list[tuple[str, int]]:
    return found("\n".join(["policy p {", *rules, "}"]))


def test_a_sound_policy_gives_no_word() -> None:
    text = """
        group web = 10.0.0.0/24, 2001:db8::/64
        service http = tcp/80
        policy p { allow any -> web : http  deny any -> any log }
        test "t" { expect allow any -> web : http }
        """
    assert found(text) == []


def test_protecting_nobody_is_told_once() -> None:
    assert found("protect ssh from 10.0.0.1 & 10.0.0.2 : tcp/22") == [("MS305", 1)]
    assert found("group g = 10.0.0.1 & 10.0.0.2\nprotect ssh from g : tcp/22") == [("MS305", 1)]
    assert found("protect ssh from 10.0.0.1 : tcp/22") == []


def test_expiry_is_counted_in_days_from_today() -> None:
    rule = "policy p {\nallow any -> any expires 2026-06-15\n}"
    assert found(rule, date(2026, 5, 31)) == []
    assert found(rule, date(2026, 6, 1)) == [("MS304", 2)]
    assert found(rule, date(2026, 6, 15)) == [("MS304", 2)]
    assert found(rule, date(2026, 6, 16)) == [("MS303", 2)]
    assert Code.EXPIRES_SOON.severity is Severity.NOTE


def test_an_expired_rule_is_not_in_the_image() -> None:
    tree = MemoryTree({"p.mseg": b"policy p { allow any -> any expires 2026-06-15 }"})
    before, after = (compile_tree(tree, date(2026, 6, day)) for day in (15, 16))
    assert len(before.ruleset.ordered()) == 1
    assert after.ruleset.ordered() == ()


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("allow any4 & any6 -> any", "MS305"),
        ("allow 10.0.0.1 - 10.0.0.0/8 -> any", "MS305"),
        ("allow any4 -> any6", "MS309"),
        ("allow 10.0.0.1 <-> ::1", "MS309"),
        ("allow any4 -> any : icmpv6", "MS311"),
        ("allow any -> ::1 : icmp/echo-request", "MS311"),
    ],
)
def test_a_rule_no_packet_can_match(rule: str, code: str) -> None:
    assert in_policy(rule) == [(code, 2)]


@pytest.mark.parametrize("rule", ["allow any -> any : icmp", "allow any4 -> any : icmp, icmpv6"])
def test_icmp_of_the_right_version(rule: str) -> None:
    assert in_policy(rule) == []


def test_an_empty_group_is_reported_once_where_it_is_defined() -> None:
    text = "group none = any4 - any\npolicy p { allow none -> any  allow any -> none }"
    assert found(text) == [("MS305", 1)]


def test_what_nothing_uses() -> None:
    text = """\
group a = 10.0.0.1
group b = a
group c = 10.0.0.2
group d = 10.0.0.3
group e = 10.0.0.4
service s = tcp/1
service t = s, tcp/2
service u = tcp/3
policy p { allow c -> any : u }
protect x from d
test "y" { expect deny e -> any }
"""
    assert found(text) == [("MS306", 2), ("MS307", 7)]


def test_with_an_error_nothing_is_called_unused() -> None:
    assert found("group a = 10.0.0.1\npolicy p { allow a - -> any }") == [("MS001", 2)]


def test_blocks_with_nothing_inside() -> None:
    assert found('policy p {}\ntest "t" {}') == [("MS308", 1), ("MS312", 2)]


@pytest.mark.parametrize(
    ("expression", "warned"),
    [
        ("any | any4 - any6", True),
        ("any - any4 | any6", True),
        ("!(any | any4 - any6)", True),
        ("(any | any4) - any6", False),
        ("any | any4, any - any6", False),
        ("any - any4 & any6", False),
    ],
)
def test_union_and_difference_without_parentheses(expression: str, warned: bool) -> None:  # noqa: FBT001
    codes = [code for code, _ in in_policy(f"allow {expression} -> any")]
    assert ("MS215" in codes) is warned


def test_an_empty_directory_is_a_warning() -> None:
    compilation = compile_tree(MemoryTree({"notes.txt": b""}), TODAY)
    assert [each.code for each in compilation.diagnostics] == [Code.NO_FILES]


def test_a_comment_silences_a_warning() -> None:
    assert in_policy("deny any -> any", "# microseg: ignore MS301", "allow any -> any : tcp") == []
