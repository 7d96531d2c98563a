"""What rules have judged, as the program counts it: lines of a few rules for each CPU, and what has no room.

Integers are in host order. A line of `rule_lines` is one cache line; a rule that finds its line full is
counted in `rule_counters`, so the counts of a rule are the sum of both. See bpf/stats.h.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

RULE_WAYS = 3
"""Rules of a line."""

_COUNT = struct.Struct("=2Q")
_LINE = struct.Struct(f"={2 * RULE_WAYS}Q{RULE_WAYS}I4x")
_RULES = struct.Struct(f"={RULE_WAYS}I")
_RULES_AT = RULE_WAYS * _COUNT.size

RULE_COUNT_SIZE = _COUNT.size
RULE_LINE_SIZE = _LINE.size


class Counted(NamedTuple):
    """The counts of a rule on one CPU."""

    rule: int
    packets: int
    octets: int


def counted(lines: bytes) -> Iterator[Counted]:
    """Yield what is counted in lines, one behind the other."""
    for packed in _LINE.iter_unpack(lines):
        for way, rule in enumerate(packed[2 * RULE_WAYS :]):
            if rule:
                yield Counted(rule, packed[2 * way], packed[2 * way + 1])


def forget(lines: memoryview, rules: frozenset[int]) -> None:
    """Free the ways of some rules, which programs may be writing beside of: a free one has no counts."""
    for at in range(0, len(lines), RULE_LINE_SIZE):
        for way, rule in enumerate(_RULES.unpack_from(lines, at + _RULES_AT)):
            if rule in rules:
                _COUNT.pack_into(lines, at + way * _COUNT.size, 0, 0)
                struct.pack_into("=I", lines, at + _RULES_AT + way * 4, 0)


def decode_rule_count(per_cpu: list[bytes]) -> tuple[int, int]:
    """Return (packets, bytes) of a rule_counters value, all CPUs together."""
    pairs = [_COUNT.unpack(value) for value in per_cpu]
    return sum(packets for packets, _ in pairs), sum(octets for _, octets in pairs)


def c_constants() -> dict[str, int]:
    """Return every constant of this page as the C side names it (without the -D)."""
    return {
        "MS_SIZEOF_RULE_COUNT": RULE_COUNT_SIZE,
        "MS_SIZEOF_RULE_LINE": RULE_LINE_SIZE,
        "MS_RULE_WAYS": RULE_WAYS,
    }
