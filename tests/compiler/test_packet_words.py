"""One packet in the language's words."""

from __future__ import annotations

import pytest

from microseg.compiler.packet_words import PacketTextError, read_packet
from microseg.source import MemoryTree

TREE = MemoryTree(
    {
        "shop.mseg": b"""
group web = 10.1.1.0/24
group one = 10.1.1.5
group six = 2001:db8::5
service postgres = tcp/5432
service many = tcp/80, tcp/443
service high = udp/53 from 50000-50010
test "one packet" { expect deny web -> one }
"""
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.1.5 -> 10.1.3.10 : tcp/5432", "10.1.1.5 -> 10.1.3.10 : tcp/5432 from 40000"),
        ("10.1.1.5->10.1.3.10 : tcp/5432 from 1024", "10.1.1.5 -> 10.1.3.10 : tcp/5432 from 1024"),
        ("one -> 10.1.3.10 : postgres", "10.1.1.5 -> 10.1.3.10 : tcp/5432 from 40000"),
        ("one -> 10.1.3.10 : high", "10.1.1.5 -> 10.1.3.10 : udp/53 from 50000"),
        ("web & one -> 10.1.3.10 : sctp/1", "10.1.1.5 -> 10.1.3.10 : sctp/1 from 40000"),
        ("one -> 10.1.3.10 : icmp/echo-request", "10.1.1.5 -> 10.1.3.10 : icmp/8/0"),
        ("one -> 10.1.3.10 : icmp/3/4", "10.1.1.5 -> 10.1.3.10 : icmp/3/4"),
        ("one -> 10.1.3.10 : proto/47", "10.1.1.5 -> 10.1.3.10 : proto/47"),
        ("six -> 2001:db8::1 : icmpv6/128", "2001:db8::5 -> 2001:db8::1 : icmpv6/128/0"),
        ("one\n->\n10.1.3.10 : tcp/1", "10.1.1.5 -> 10.1.3.10 : tcp/1 from 40000"),
    ],
)
def test_words_of_a_packet(text: str, expected: str) -> None:
    assert str(read_packet(text, TREE)) == expected


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        ("10.1.1.5 - 10.1.3.10 : tcp/1", "has no `->`", "in quotes"),
        ("web -> one : tcp/1", "`web` is 256 addresses", "such as 10.1.1.0"),
        ("web & six -> one : tcp/1", "is 0 addresses", ""),
        ("one -> six : tcp/1", "two address families", ""),
        ("one -> one", "more than one protocol", "such as : tcp/443"),
        ("one -> one : tcp", "`tcp` is more than one port", "such as tcp/0"),
        ("one -> one : many", "`many` is more than one port", "such as tcp/80"),
        ("one -> one : icmp", "more than one type", "such as icmp/0"),
        ("one -> one : tcp/1, udp/1", "more than one protocol", ""),
        ("one <-> one : tcp/1", "is not a packet", "SOURCE -> DESTINATION"),
        ("one -> one : tcp/1 expect deny one -> one", "is not a packet", ""),
        ('one -> one : tcp/1 } test "b" { expect deny one -> one', "is not a packet", ""),
        ("one -> one : tcp/1 } default deny #", "is not", ""),
    ],
)
def test_what_is_not_one_packet(text: str, message: str, advice: str) -> None:
    with pytest.raises(PacketTextError, match=message) as raised:
        read_packet(text, TREE)
    assert advice in raised.value.advice


def test_mistakes_are_shown_where_they_were_typed() -> None:
    with pytest.raises(PacketTextError) as raised:
        read_packet("one -> nobody : tcp/99999", TREE)
    spans = [
        (each.span.path, each.span.line, each.span.column, each.span.end_column)
        for each in raised.value.diagnostics
    ]
    assert spans == [("packet", 1, 8, 14), ("packet", 1, 21, 26)]
    assert "`nobody`" in raised.value.diagnostics[0].message


def test_a_wrong_policy_matters_only_where_it_is_named() -> None:
    wrong = MemoryTree({"shop.mseg": b"group web = 10.1.1.0/99\ngroup one = 10.1.1.5\n"})
    assert str(read_packet("one -> 10.0.0.1 : tcp/1", wrong)).startswith("10.1.1.5 -> 10.0.0.1")
    with pytest.raises(PacketTextError, match="a part of the policy that is wrong"):
        read_packet("web -> 10.0.0.1 : tcp/1", wrong)
