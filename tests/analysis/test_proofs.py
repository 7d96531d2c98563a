"""What a failed policy test shows: the smallest packet that refutes it, and what decides it."""

from __future__ import annotations

from datetime import date
from random import Random

import by_hand
import pytest
from random_rulesets import Maker
from universe import V4_OUTSIDE, V6_OUTSIDE, small

from microseg.analysis import proofs
from microseg.analysis.book import Book
from microseg.analysis.examine import examine
from microseg.policy.addresses import IPAddress
from microseg.policy.packet import Packet
from microseg.source import MemoryTree

UNIVERSE = small(v4_bits=3, v6_bits=1)
SOMEBODY: dict[str, IPAddress] = {"203.0.113.1": V4_OUTSIDE, "2001:db8::1": V6_OUTSIDE}


def place(address: IPAddress) -> tuple[int, bool, int]:
    """Return what addresses are sorted by: IPv4 first, and all the world has the lowest address."""
    address = SOMEBODY.get(str(address), address)
    return address.version, address not in (V4_OUTSIDE, V6_OUTSIDE), int(address)


def ends(packet: Packet) -> tuple[tuple[int, bool, int], ...]:
    return place(packet.src), place(packet.dst)


def test_the_smallest_packet_is_shown() -> None:
    shown = 0
    for seed in range(400):
        ruleset = Maker(Random(seed), v4_bits=3, v6_bits=1).ruleset(tests=2)
        for failure in proofs.failures(Book(ruleset, proofs.spoken_of(ruleset))):
            if failure.packet and not failure.expectation.some:
                wrong = by_hand.violations(UNIVERSE, ruleset, failure.expectation)
                smallest = min(map(ends, UNIVERSE.packets_of(wrong)))
                assert ends(failure.packet) == smallest, seed
                shown += 1
    assert shown > 100


SHOP = """group web = 10.1.1.0/24, 2001:db8:1::/64
group db = 10.1.3.10 - 10.1.3.19
policy shop {
  allow web -> db : tcp/5432
  deny any -> db log
}
policy trial mode audit priority 2000 { deny any -> 10.1.4.0/24 }
test "shop" { EXPECTATION }
"""


@pytest.mark.parametrize(
    ("expectation", "message"),
    [
        ("expect allow web -> db : tcp/5432", None),
        ("expect some allow any -> db", None),
        ("expect allow 10.9.9.9 -> 10.1.4.0/24", None),
        ("expect deny any - web -> db", None),
        ("expect allow web -> db : tcp/5400-5499", "10.1.1.1 -> 10.1.3.10 : tcp/5400 from 49152 gets deny"),
        ("expect deny any -> db", "10.1.1.1 -> 10.1.3.10 : tcp/5432 from 49152 gets allow"),
        ("expect reject any -> db : udp", "203.0.113.1 -> 10.1.3.10 : udp/1 from 49152 gets deny"),
        ("expect deny any -> 10.1.4.7 : icmp", "203.0.113.1 -> 10.1.4.7 : icmp/0/0 gets audit"),
        (
            "expect some allow any -> db : udp",
            "no packet does; for instance 203.0.113.1 -> 10.1.3.10 : udp/1 from 49152 gets deny",
        ),
        ("expect allow 2001:db8:1::/64 -> db", "its expectation speaks of no packet at all"),
    ],
)
def test_messages(expectation: str, message: str | None) -> None:
    tree = MemoryTree({"p.mseg": SHOP.replace("EXPECTATION", expectation).encode()})
    examination = examine(tree, date(2026, 6, 1))
    assert not [each for each in examination.compilation.diagnostics if each.is_error]
    expected = [] if message is None else [f'test "shop" fails: {message}']
    assert [failure.message for failure in examination.failures] == expected
