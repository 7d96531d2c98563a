"""Every construct of the language, with exact spans."""

from __future__ import annotations

from typing import TypeVar

import pytest

from microseg.lang import ast
from microseg.lang.ast import AnyAddress, Operator, Word
from microseg.lang.parser import parse
from microseg.policy.rules import Action
from microseg.source import Span

T = TypeVar("T", bound=ast.Statement)


def at(column: int, end: int, line: int = 1) -> Span:
    return Span("p.mseg", line, column, line, end)


def statement(kind: type[T], text: str) -> T:
    file, diagnostics = parse("p.mseg", text)
    assert diagnostics == []
    [only] = file.statements
    assert isinstance(only, kind)
    return only


def addresses(text: str) -> ast.Addresses:
    return statement(ast.Group, f"group g = {text}").addresses


def shape(node: ast.Addresses) -> str:
    """Return a set with all its parentheses written."""
    match node:
        case ast.GroupName(name=text) | ast.Address(text=text):
            return text
        case ast.AddressRange(first, last):
            return f"[{first.text}..{last.text}]"
        case ast.Anything(which):
            return which.value
        case ast.ListFile(path):
            return f"file({path.unquoted})"
        case ast.Complement(operand):
            return f"!{shape(operand)}"
        case ast.Operation(operands, operators):
            parts = [shape(operands[0])]
            for operator, operand in zip(operators, operands[1:], strict=True):
                parts += [operator.value, shape(operand)]
            return f"({' '.join(parts)})"


def services(text: str) -> tuple[ast.ServiceTerm, ...]:
    return statement(ast.Service, f"service s = {text}").services.terms


def rule(text: str) -> ast.Rule:
    [only] = statement(ast.Policy, f"policy p {{\n{text}\n}}").rules
    return only


def test_an_empty_file_has_no_statements() -> None:
    for text in ("", "\n\n", "# only a comment"):
        file, diagnostics = parse("p.mseg", text)
        assert (file.statements, diagnostics) == ((), [])


def test_group() -> None:
    group = statement(ast.Group, "group web = 10.0.0.0/8, app")
    assert group.span == at(1, 28)
    assert group.name == Word("web", at(7, 10))
    assert group.addresses == ast.Operation(
        (ast.Address("10.0.0.0/8", at(13, 23)), ast.GroupName("app", at(25, 28))),
        (Operator.COMMA,),
        at(13, 28),
    )


@pytest.mark.parametrize(
    "text",
    [
        "10.1.1.1",
        "10.1.1.0/24",
        "2001:db8::1",
        "2001:db8::/32",
        "::",
        "::1",
        "::/0",
        "::ffff:1.2.3.4",
        "::ffff:1.2.3.4/120",
        "1:2:3:4:5:6:7:8",
        "FE80::A",
        "fe80::1",
        "abcd::",
        "dead:beef::cafe/64",
    ],
)
def test_address_is_one_word(text: str) -> None:
    assert addresses(text) == ast.Address(text, at(11, 11 + len(text)))


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.300",
        "10.0.0",
        "10.0.0.0/33",
        "10.0.0.0/255.0.0.0",
        "1.2.3.4x",
        "2001:db8:1/64",
        "1:2::3::4",
        "fe80::1%eth0",
    ],
)
def test_a_bad_address_is_one_word_too(text: str) -> None:
    assert addresses(text) == ast.Address(text, at(11, 11 + len(text)))


def test_address_range() -> None:
    assert addresses("10.0.0.1 - 10.0.0.9") == ast.AddressRange(
        ast.Address("10.0.0.1", at(11, 19)), ast.Address("10.0.0.9", at(22, 30)), at(11, 30)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1-10.0.0.9", "[10.0.0.1..10.0.0.9]"),
        ("2001:db8::-2001:db8::ff", "[2001:db8::..2001:db8::ff]"),
        ("10.0.0.1 -\n# a comment between\n10.0.0.9", "[10.0.0.1..10.0.0.9]"),
        ("10.0.0.0/8 - 10.0.0.9", "(10.0.0.0/8 - 10.0.0.9)"),
        ("10.0.0.1 - 10.0.0.0/8", "(10.0.0.1 - 10.0.0.0/8)"),
        ("web - 10.0.0.1 - 10.0.0.9", "(web - [10.0.0.1..10.0.0.9])"),
        ("10.0.0.0/8 - 10.0.0.1 - 10.0.0.9", "(10.0.0.0/8 - [10.0.0.1..10.0.0.9])"),
        ("10.0.0.1 - 10.0.0.9 - 10.0.0.5", "([10.0.0.1..10.0.0.9] - 10.0.0.5)"),
        ("10.0.0.1 - 10.0.0.9 - 10.0.0.2 - 10.0.0.3", "([10.0.0.1..10.0.0.9] - [10.0.0.2..10.0.0.3])"),
        ("any - 10.0.0.1", "(any - 10.0.0.1)"),
        ("!10.0.0.1 - 10.0.0.9", "![10.0.0.1..10.0.0.9]"),
    ],
)
def test_minus_between_two_single_addresses_is_a_range(text: str, expected: str) -> None:
    assert shape(addresses(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a, b | c", "(a , (b | c))"),
        ("a | b - c | d", "(a | b - c | d)"),
        ("a | b & c", "(a | (b & c))"),
        ("a - b & c", "(a - (b & c))"),
        ("a & b & c", "(a & b & c)"),
        ("!a & b", "(!a & b)"),
        ("!(a & b)", "!(a & b)"),
        ("!!a", "!!a"),
        ("(a | b) & c", "((a | b) & c)"),
        ("a - (b - c)", "(a - (b - c))"),
        ("a, b, ", "(a , b)"),
        ("a,", "a"),
        ("(a, b,) - c", "((a , b) - c)"),
        ("((a))", "a"),
        ("web-app - web", "(web-app - web)"),
        ("a.b-c_d", "a.b-c_d"),
        ("any, any4, any6", "(any , any4 , any6)"),
        ('file("lists/x.netset") - any6', "(file(lists/x.netset) - any6)"),
    ],
)
def test_set_algebra(text: str, expected: str) -> None:
    assert shape(addresses(text)) == expected


@pytest.mark.parametrize("text", ["any - (a)", "!(a)", "((a))", "(a)", "(a), (any)", "(a | any)"])
def test_a_statement_ends_behind_its_parentheses(text: str) -> None:
    assert statement(ast.Group, f"group g = {text}").span == at(1, 11 + len(text))
    policy = statement(ast.Policy, f"policy p {{ allow {text} -> {text} log }}")
    assert policy.rules[0].flow.span == at(18, 22 + 2 * len(text))


def test_an_operand_s_span_is_without_parentheses_of_its_own() -> None:
    node = statement(ast.Group, "group g = any - (a)").addresses
    assert isinstance(node, ast.Operation)
    assert (node.span, node.operands[1].span) == (at(11, 20), at(18, 19))


def test_spans_of_set_algebra() -> None:
    node = addresses("(a | b) - !c")
    assert isinstance(node, ast.Operation)
    assert (node.span, node.operands[0].span, node.operands[1].span) == (at(11, 23), at(11, 18), at(21, 23))


def test_any_address_and_list_file() -> None:
    assert addresses("any4") == ast.Anything(AnyAddress.IPV4, at(11, 15))
    assert addresses('file("l.txt")') == ast.ListFile(Word('"l.txt"', at(16, 23)), at(11, 24))


def test_service() -> None:
    service = statement(ast.Service, "service web = tcp/80, http,")
    assert service.name == Word("web", at(9, 12))
    assert service.span == at(1, 27)
    port = Word("80", at(19, 21))
    assert service.services == ast.Services(
        (
            ast.ProtocolService(Word("tcp", at(15, 18)), ast.Ports(port, port, at(19, 21)), None, at(15, 21)),
            ast.ServiceName("http", at(23, 27)),
        ),
        at(15, 27),
    )


def test_port_range_and_source_ports() -> None:
    [term] = services("udp/1000-2000 from 68 - 70")
    assert isinstance(term, ast.ProtocolService)
    assert isinstance(term.selector, ast.Ports)
    assert (term.selector.first.text, term.selector.last.text) == ("1000", "2000")
    assert term.selector.is_range
    assert term.source == ast.Ports(Word("68", at(32, 34)), Word("70", at(37, 39)), at(32, 39))
    assert term.span == at(13, 39)


def test_source_ports_of_a_whole_protocol() -> None:
    [term] = services("tcp from 1024-65535")
    assert isinstance(term, ast.ProtocolService)
    assert (term.protocol.text, term.selector) == ("tcp", None)
    assert term.source is not None


def test_icmp_types() -> None:
    by_name, with_code, number = services("icmp/echo-request, icmp/3/4, icmpv6/128")
    assert isinstance(by_name, ast.ProtocolService)
    assert by_name.selector == ast.IcmpType(Word("echo-request", at(18, 30)), None, at(18, 30))
    assert isinstance(with_code, ast.ProtocolService)
    assert with_code.selector == ast.IcmpType(Word("3", at(37, 38)), Word("4", at(39, 40)), at(37, 40))
    assert isinstance(number, ast.ProtocolService)
    assert isinstance(number.selector, ast.Ports)
    assert not number.selector.is_range


def test_protocols_by_name_and_number() -> None:
    terms = services("tcp, proto/47, any, sctp/36412")
    assert [type(term).__name__ for term in terms] == [
        "ServiceName",
        "ProtocolService",
        "AnyService",
        "ProtocolService",
    ]


def test_policy_options() -> None:
    policy = statement(ast.Policy, 'policy p priority 10 mode audit { owner "ops" }')
    assert policy.span == at(1, 48)
    assert [(option.name.value, option.value.text) for option in policy.options] == [
        ("priority", "10"),
        ("mode", "audit"),
        ("owner", '"ops"'),
    ]
    assert [option.span for option in policy.options] == [at(10, 21), at(22, 32), at(35, 46)]


def test_rule() -> None:
    found = rule("allow web -> app : http, tcp/1 log")
    assert found.action is Action.ALLOW
    assert found.span == at(1, 35, line=2)
    assert found.flow.span == at(7, 31, line=2)
    assert not found.flow.both_ways
    assert (shape(found.flow.src), shape(found.flow.dst)) == ("web", "app")
    assert found.flow.services is not None
    assert len(found.flow.services.terms) == 2
    assert found.clauses == (ast.Log(at(32, 35, line=2)),)


def test_rule_of_sets_without_services_both_ways() -> None:
    found = rule("reject a, b <-> any - c")
    assert found.action is Action.REJECT
    assert found.flow.both_ways
    assert (shape(found.flow.src), shape(found.flow.dst)) == ("(a , b)", "(any - c)")
    assert found.flow.services is None


def test_rule_clauses() -> None:
    found = rule('deny a -> b "why" expires 2027-01-31 log log')
    assert [type(clause) for clause in found.clauses] == [ast.Remark, ast.Expires, ast.Log, ast.Log]
    assert found.clauses[1] == ast.Expires(Word("2027-01-31", at(27, 37, line=2)), at(19, 37, line=2))


def test_colons_without_blanks() -> None:
    assert shape(rule("allow a -> app:http").flow.dst) == "app"
    assert shape(rule("allow a -> 10.0.0.0/8:tcp/80").flow.dst) == "10.0.0.0/8"
    assert shape(rule("allow a->b:tcp/80").flow.dst) == "b"


def test_default() -> None:
    assert statement(ast.Default, "default deny log") == ast.Default(Action.DENY, log=True, span=at(1, 17))
    assert statement(ast.Default, "default allow") == ast.Default(Action.ALLOW, log=False, span=at(1, 14))


def test_protect() -> None:
    protect = statement(ast.Protect, "protect ssh from 10.0.0.0/8 : tcp/22")
    assert (protect.name, protect.span) == (Word("ssh", at(9, 12)), at(1, 37))
    assert protect.services is not None
    assert statement(ast.Protect, "protect all from admin").services is None


def test_test() -> None:
    test = statement(ast.Test, 'test "a b" { expect allow a -> b : http expect some deny a <-> b }')
    assert test.name == Word('"a b"', at(6, 11))
    assert test.name.unquoted == "a b"
    first, second = test.expectations
    assert (first.some, first.action, first.span) == (False, Action.ALLOW, at(14, 40))
    assert (second.some, second.action, second.span) == (True, Action.DENY, at(41, 65))


def test_comments() -> None:
    file, _ = parse("p.mseg", '# one\ngroup a = "#no"  # two\n  # three\t \n')
    assert file.comments == (
        ast.Comment("# one", own_line=True, span=at(1, 6)),
        ast.Comment("# two", own_line=False, span=at(18, 23, line=2)),
        ast.Comment("# three", own_line=True, span=at(3, 10, line=3)),
    )


def test_newlines_do_not_matter() -> None:
    text = "policy p { allow a -> b : tcp / 80 - 90 from 1 log deny a -> b }"
    one_line = statement(ast.Policy, text)
    lines = statement(ast.Policy, text.replace(" ", "\r\n"))
    assert [rule.action for rule in one_line.rules] == [rule.action for rule in lines.rules]
    assert lines.span.end_line == len(text.split())


def test_words_of_the_language_are_part_of_longer_names() -> None:
    assert shape(addresses("any-host | allowed | default.x")) == "(any-host | allowed | default.x)"
