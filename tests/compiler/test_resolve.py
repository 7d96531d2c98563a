"""What the text means: sets, services, rules, and the errors of names and values."""

from __future__ import annotations

from datetime import date

import pytest

from microseg.compiler.resolve import Resolution, resolve
from microseg.lang.files import parse_tree
from microseg.policy.addresses import ANY_ADDRESS, ANY_IPV4, ANY_IPV6, NO_ADDRESSES, AddressSet
from microseg.policy.rules import Action, Default, Mode
from microseg.policy.services import ANY_SERVICE, Protocol, ServiceSet
from microseg.source import MemoryTree


def resolved(text: str, **others: str) -> Resolution:
    """Return what a policy file means; others are address lists, `drop` for lists/drop."""
    files = {"p.mseg": text.encode()} | {f"lists/{name}": each.encode() for name, each in others.items()}
    tree = MemoryTree(files)
    parsed = parse_tree(tree)
    assert parsed.diagnostics == []
    return resolve(parsed.files, tree)


def errors(text: str, **others: str) -> list[str]:
    """Return code and place of what is wrong, in the order it was found."""
    return [f"{each.code.value} {each.span}" for each in resolved(text, **others).diagnostics]


def group(expression: str, definitions: str = "", **others: str) -> AddressSet:
    resolution = resolved(f"{definitions}\ngroup g = {expression}", **others)
    assert resolution.diagnostics == []
    return resolution.scope.sets["g"]


def service(terms: str, definitions: str = "") -> ServiceSet:
    resolution = resolved(f"{definitions}\nservice s = {terms}")
    assert resolution.diagnostics == []
    return resolution.scope.service_sets["s"]


of = AddressSet.of


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("10.0.0.1", of("10.0.0.1")),
        ("10.0.0.0/8", of("10.0.0.0/8")),
        ("2001:DB8::0:1", of("2001:db8::1")),
        ("2001:db8::/32", of("2001:db8::/32")),
        ("64:ff9b::10.0.0.1", of("64:ff9b::a00:1")),
        ("0.0.0.0/0", ANY_IPV4),
        ("::/0", ANY_IPV6),
        ("any", ANY_ADDRESS),
        ("any4", ANY_IPV4),
        ("any6", ANY_IPV6),
        ("10.0.0.1 - 10.0.0.4", of("10.0.0.1", "10.0.0.2/31", "10.0.0.4")),
        ("::1 - ::2", of("::1", "::2")),
        ("10.0.0.1, 10.0.0.2,", of("10.0.0.1", "10.0.0.2")),
        ("10.0.0.0/8 & 10.1.0.0/16", of("10.1.0.0/16")),
        ("10.0.0.0/31 - 10.0.0.1/32", of("10.0.0.0")),
        ("!any4", ANY_IPV6),
        ("!!10.0.0.1", of("10.0.0.1")),
        ("any4 & any6", NO_ADDRESSES),
        ("any - !10.0.0.1 | ::1", of("10.0.0.1", "::1")),
        ("10.0.0.1 | 10.0.0.2 - 10.0.0.1/32", of("10.0.0.2")),
        ("10.0.0.1 | (10.0.0.2 - 10.0.0.1/32)", of("10.0.0.1", "10.0.0.2")),
        ("10.0.0.1, 10.0.0.2 - 10.0.0.1/32", of("10.0.0.1", "10.0.0.2")),
        ("10.0.0.1 | 10.0.0.0/8 & 11.0.0.0/8", of("10.0.0.1")),
        ("any4 - 10.0.0.0/8 & any6", ANY_IPV4),
        ("10.0.0.0/30 - 10.0.0.1/32 - (10.0.0.2) | ::1 | ::2 - ::2/128", of("10.0.0.0", "10.0.0.3", "::1")),
        ("10.0.0.0/30 & 10.0.0.0/31 & 10.0.0.1", of("10.0.0.1")),
    ],
)
def test_sets_of_addresses(expression: str, expected: AddressSet) -> None:
    assert group(expression) == expected


def test_groups_of_groups_in_any_order_of_definition() -> None:
    text = "group a = b | c\ngroup b = c - d\ngroup d = 10.0.0.1\ngroup c = 10.0.0.0/31"
    sets = resolved(text).scope.sets
    assert sets["b"] == of("10.0.0.0")
    assert sets["a"] == of("10.0.0.0/31")


def test_a_chain_of_a_thousand_groups() -> None:
    chain = "\n".join(f"group g{i} = g{i + 1}" for i in range(1000))
    assert resolved(f"{chain}\ngroup g1000 = 10.0.0.1").scope.sets["g0"] == of("10.0.0.1")


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("tcp", ServiceSet.of(Protocol.TCP)),
        ("tcp/80", ServiceSet.of(Protocol.TCP, (80, 80))),
        ("udp/0-65535", ServiceSet.of(Protocol.UDP)),
        ("sctp/1-2", ServiceSet.of(Protocol.SCTP, (1, 2))),
        ("udp/67 from 68", ServiceSet.of(Protocol.UDP, (67, 67), (68, 68))),
        ("tcp from 1024-65535", ServiceSet.of(Protocol.TCP, source_ports=(1024, 65535))),
        ("icmp", ServiceSet.of(Protocol.ICMP)),
        ("icmp/8", ServiceSet.of(Protocol.ICMP, (0x800, 0x8FF))),
        ("icmp/echo-request", ServiceSet.of(Protocol.ICMP, (0x800, 0x8FF))),
        ("icmp/3/4", ServiceSet.of(Protocol.ICMP, (0x304, 0x304))),
        ("icmp/destination-unreachable/4", ServiceSet.of(Protocol.ICMP, (0x304, 0x304))),
        ("icmpv6/echo-request", ServiceSet.of(Protocol.ICMPV6, (0x8000, 0x80FF))),
        ("icmpv6/133-136", ServiceSet.of(Protocol.ICMPV6, (133 << 8, 136 << 8 | 0xFF))),
        ("proto/47", ServiceSet.of(47)),
        ("any", ANY_SERVICE),
        ("tcp/80, tcp/81", ServiceSet.of(Protocol.TCP, (80, 81))),
    ],
)
def test_services(terms: str, expected: ServiceSet) -> None:
    assert service(terms) == expected


def test_services_of_services() -> None:
    definitions = "service a = b, tcp/2\nservice b = tcp/1"
    assert service("a", definitions) == ServiceSet.of(Protocol.TCP, (1, 2))


def test_a_policy() -> None:
    text = """
        group web = 10.0.0.1
        policy p priority 7 mode audit {
          owner "ops"
          reject web <-> any : tcp/80 log expires 2027-01-31 "why"
        }
        """
    resolution = resolved(text)
    [policy] = resolution.ruleset.policies
    assert (policy.name, policy.priority, policy.mode, policy.owner) == ("p", 7, Mode.AUDIT, "ops")
    [rule] = policy.rules
    assert (rule.action, rule.both_ways, rule.log) == (Action.REJECT, True, True)
    assert (rule.expires, rule.comment) == (date(2027, 1, 31), "why")
    assert (rule.src.name, rule.dst.name, rule.service.name) == ("web", "any", "tcp/80")
    assert str(rule.span) == "p.mseg:5:11"


def test_what_is_not_said() -> None:
    [policy] = resolved("policy p { allow any -> any }").ruleset.policies
    assert (policy.priority, policy.mode, policy.owner) == (1000, Mode.ENFORCE, "")
    assert (policy.rules[0].log, policy.rules[0].expires, policy.rules[0].comment) == (False, None, "")
    assert resolved("").ruleset.default == Default(Action.DENY, log=False, span=None)


def test_default_protect_and_test() -> None:
    text = """default reject log
protect ssh from 10.0.0.0/8 : tcp/22
test "t" { expect deny any -> any expect some allow 10.0.0.1 <-> 10.0.0.2 : tcp }"""
    ruleset = resolved(text).ruleset
    assert (ruleset.default.action, ruleset.default.log) == (Action.REJECT, True)
    [protect] = ruleset.protects
    assert (protect.name, protect.src.addresses) == ("ssh", of("10.0.0.0/8"))
    [test] = ruleset.tests
    assert [(each.some, each.src.name, each.dst.name) for each in test.expectations] == [
        (False, "any", "any"),
        (True, "10.0.0.1", "10.0.0.2"),
        (True, "10.0.0.2", "10.0.0.1"),
    ]


def test_an_address_list() -> None:
    drop = (
        "# a list\r\n10.0.0.1\n\n  10.1.0.0/16  # why\n10.2.0.1 - 10.2.0.2\n10.3.0.1-10.3.0.1\n2001:db8::/32"
    )
    assert group('file("lists/drop")', drop=drop) == of(
        "10.0.0.1", "10.1.0.0/16", "10.2.0.1", "10.2.0.2", "10.3.0.1", "2001:db8::/32"
    )
    assert group('file("./lists//drop")', drop="") == NO_ADDRESSES


def test_bad_lines_of_a_list_are_told_at_their_place() -> None:
    drop = (
        "10.0.0.1\n10.0.0.256\n  example.org # no\n10.0.0.1/24\n10.0.0.2 - ::1\n10.0.0.0/8 - 10.0.0.9\n\x00"
    )
    assert errors('group g = file("lists/drop")', drop=drop) == [
        "MS213 lists/drop:2:1",
        "MS213 lists/drop:3:3",
        "MS213 lists/drop:4:1",
        "MS213 lists/drop:5:1",
        "MS213 lists/drop:6:1",
        "MS213 lists/drop:7:1",
    ]
    assert resolved('group g = file("lists/drop")', drop=drop).scope.sources == {"lists/drop": drop}


def test_a_list_full_of_rubbish_is_cut_off() -> None:
    found = resolved('group g = file("lists/drop")', drop="x\n" * 10_000).diagnostics
    assert len(found) == 21
    assert found[-1].message.startswith("9980 more lines")


def test_a_list_is_read_once_and_its_error_told_once() -> None:
    text = 'group a = file("lists/drop")\ngroup b = file("lists/drop")'
    assert errors(text, drop="x") == ["MS213 lists/drop:1:1"]


@pytest.mark.parametrize("path", ["/etc/hosts", "../x", "lists/../../x", "lists/none", "", "lists"])
def test_a_list_that_can_not_be_read(path: str) -> None:
    assert errors(f'group g = file("{path}")', drop="") == ["MS214 p.mseg:1:16"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.256", "MS201"),
        ("010.0.0.1", "MS201"),
        ("10.0.0", "MS201"),
        ("1:2:3", "MS201"),
        ("fe80::1%eth0", "MS201"),
        ("10.0.0.1x", "MS201"),
        ("10.0.0.٣", "MS201"),
        ("10.0.0.0/33", "MS202"),
        ("10.0.0.0/", "MS202"),
        ("::/129", "MS202"),
        ("10.0.0.0/255.0.0.0", "MS202"),
        ("10.0.0.0/" + "9" * 5000, "MS202"),
        ("10.0.0.1/24", "MS203"),
        ("2001:db8::1/64", "MS203"),
        ("10.0.0.2 - 10.0.0.1", "MS204"),
        ("10.0.0.1 - ::1", "MS205"),
        ("::ffff:10.0.0.1", "MS206"),
    ],
)
def test_bad_addresses(text: str, expected: str) -> None:
    assert errors(f"group g = {text}") == [f"{expected} p.mseg:1:11"]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("tcp/65536", "MS207 p.mseg:1:17"),
        ("tcp/" + "9" * 5000, "MS207 p.mseg:1:17"),
        ("tcp/80x", "MS207 p.mseg:1:17"),
        ("tcp/http", "MS207 p.mseg:1:17"),
        ("tcp/80/1", "MS207 p.mseg:1:17"),
        ("udp/1 from 70000", "MS207 p.mseg:1:24"),
        ("tcp/2-1", "MS204 p.mseg:1:17"),
        ("gre/1", "MS208 p.mseg:1:13"),
        ("proto/256", "MS208 p.mseg:1:19"),
        ("icmp/256", "MS209 p.mseg:1:18"),
        ("icmp/nonsense", "MS209 p.mseg:1:18"),
        ("icmp/3/256", "MS209 p.mseg:1:20"),
        ("icmp/8 from 1", "MS210 p.mseg:1:25"),
        ("icmp from 1", "MS210 p.mseg:1:23"),
        ("proto/47 from 1", "MS210 p.mseg:1:27"),
        ("nosuch from 1", "MS208 p.mseg:1:13"),
        ("nosuch", "MS102 p.mseg:1:13"),
        ("proto", "MS102 p.mseg:1:13"),
    ],
)
def test_bad_services(terms: str, expected: str) -> None:
    assert errors(f"service s = {terms}") == [expected]


@pytest.mark.parametrize("day", ["2027-02-29", "2027-13-01", "27-01-01", "2027-1-1", "2027", "0000-01-01"])
def test_bad_dates(day: str) -> None:
    assert errors(f"policy p {{ allow any -> any expires {day} }}") == ["MS211 p.mseg:1:37"]


@pytest.mark.parametrize("priority", ["65536", "1x", "9" * 5000])
def test_bad_priorities(priority: str) -> None:
    assert errors(f"policy p priority {priority} {{ allow any -> any }}") == ["MS212 p.mseg:1:19"]


def test_unknown_names_are_told_at_every_use() -> None:
    text = "group a = b\npolicy p { allow b -> c : d\n deny c -> b }\nprotect x from c : e"
    assert sorted(errors(text)) == [
        "MS101 p.mseg:1:11",
        "MS101 p.mseg:2:18",
        "MS101 p.mseg:2:23",
        "MS101 p.mseg:3:12",
        "MS101 p.mseg:3:7",
        "MS101 p.mseg:4:16",
        "MS102 p.mseg:2:27",
        "MS102 p.mseg:4:20",
    ]


def test_an_error_in_a_group_is_told_once_and_not_at_its_uses() -> None:
    text = "group a = 10.0.0.300\ngroup b = a\npolicy p { allow a -> b }"
    assert errors(text) == ["MS201 p.mseg:1:11"]


def test_what_a_syntax_error_took_away_is_not_missed() -> None:
    for broken in ("group a = ;;;", "group a 10.0.0.1", "servce s = tcp/1\ngroup = a"):
        tree = MemoryTree({"p.mseg": b"policy p { allow a -> a : s }", "q.mseg": broken.encode()})
        parsed = parse_tree(tree)
        assert parsed.diagnostics
        assert [each.code.value for each in resolve(parsed.files, tree).diagnostics] in ([], ["MS102"])


def test_cycles() -> None:
    assert errors("group a = a") == ["MS106 p.mseg:1:7"]
    assert errors("group a = b\ngroup b = c | d\ngroup c = a\ngroup d = 10.0.0.1\ngroup e = a") == [
        "MS106 p.mseg:1:7"
    ]
    assert errors("service a = b\nservice b = a") == ["MS107 p.mseg:1:9"]


def test_a_protocol_is_no_name_for_a_service() -> None:
    assert errors("service tcp = udp/1") == ["MS108 p.mseg:1:9"]
    assert errors("group tcp = 10.0.0.1") == []


def test_duplicates() -> None:
    text = """group a = 10.0.0.1
group a = 10.0.0.2
service a = tcp/1
service a = tcp/2
policy a priority 1 priority 2 mode audit mode audit { owner "x" owner "y"
 allow any -> any log log expires 2027-01-01 expires 2027-01-01 "x" "y" }
policy a { }
protect a from a
protect a from a
test "a" { }
test "a" { }
default deny
default deny
"""
    assert sorted(errors(text)) == [
        "MS103 p.mseg:2:7",
        "MS104 p.mseg:4:9",
        "MS105 p.mseg:7:8",
        "MS109 p.mseg:13:1",
        "MS110 p.mseg:9:9",
        "MS111 p.mseg:11:6",
        "MS112 p.mseg:5:21",
        "MS112 p.mseg:5:43",
        "MS112 p.mseg:5:66",
        "MS112 p.mseg:6:23",
        "MS112 p.mseg:6:46",
        "MS112 p.mseg:6:69",
    ]


def test_the_order_of_files_has_no_meaning() -> None:
    files = {
        "a.mseg": b"group a = b\npolicy p { allow a -> b : s }",
        "b.mseg": b"group b = 10.0.0.1\npolicy q { deny b -> a : s }",
        "c.mseg": b"service s = tcp/80\ndefault allow",
    }
    tree = MemoryTree(files)
    parsed = parse_tree(tree)
    forward, backward = (resolve(order, tree) for order in (parsed.files, parsed.files[::-1]))
    assert forward.diagnostics == backward.diagnostics == []
    assert forward.ruleset.ordered() == backward.ruleset.ordered()
    assert forward.ruleset.default == backward.ruleset.default
