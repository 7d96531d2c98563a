"""What each rule has judged, read from the lines of all CPUs and from what found no room there.

The default has no line: it is counted with the statistics.
"""

from __future__ import annotations

import mmap
import sys
from collections import defaultdict
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from microseg import abi_counts
from microseg.abi_counts import Counted, counted, decode_rule_count
from microseg.compiler.image import DEFAULT_RULE_ID
from microseg.reconcile.dataplane import RuleCount

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microseg.abi_flow import Stats
    from microseg.kernel.maps import Map

_NOTHING = bytes(mmap.PAGESIZE)


def read(lines: Map, others: Map, stats: Stats) -> dict[int, RuleCount]:
    """Return the counts by rule id, of those that have judged anything."""
    totals: defaultdict[int, RuleCount] = defaultdict(lambda: RuleCount(0, 0))
    default = Counted(DEFAULT_RULE_ID, stats.default_packets, stats.default_octets)
    for one in chain((default,), _in_lines(lines), _elsewhere(others)):
        before = totals[one.rule]
        totals[one.rule] = RuleCount(before.packets + one.packets, before.bytes + one.octets)
    return {rule: total for rule, total in totals.items() if total.packets}


def forget(lines: Map, others: Map, rules: Sequence[int]) -> None:
    """Remove the counts of rules that no program counts for any more."""
    others.delete_many([rule.to_bytes(4, sys.byteorder) for rule in rules])
    with _memory(lines) as memory:
        abi_counts.forget(memory, frozenset(rules))


def _in_lines(lines: Map) -> Iterator[Counted]:
    """Read page by page; a page without counts is passed over at once."""
    with _memory(lines) as memory:
        for at in range(0, len(memory), mmap.PAGESIZE):
            page = bytes(memory[at : at + mmap.PAGESIZE])
            if page != _NOTHING[: len(page)]:
                yield from counted(page)


def _elsewhere(others: Map) -> Iterator[Counted]:
    for key, value in others.entries().items():
        rule = int.from_bytes(key, sys.byteorder)
        yield Counted(rule, *decode_rule_count(others.split_per_cpu(value)))


@contextmanager
def _memory(lines: Map) -> Iterator[memoryview]:
    size = lines.info.max_entries * lines.info.value_size
    with mmap.mmap(lines.fd, size, mmap.MAP_SHARED) as memory, memoryview(memory) as view:
        yield view
