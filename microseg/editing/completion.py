"""What could be typed next: the grammar says which kind of word, the directory which names there are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from microseg.compiler.service_values import GENERIC, ICMP_TYPES, ICMPV6_TYPES, PROTOCOLS
from microseg.editing.symbols import Kind
from microseg.lang import vocabulary
from microseg.lang.parser import acceptable_behind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.editing.snapshot import Snapshot

_PARTIAL = re.compile(r"[A-Za-z0-9_.-]*\Z")
_ICMP = re.compile(r"\b(icmp|icmpv6)/\Z")
_ICMP_NAMES = {"icmp": ICMP_TYPES, "icmpv6": ICMPV6_TYPES}


class What(Enum):
    """What a candidate is."""

    WORD = "word"
    GROUP = "group"
    SERVICE = "service"
    PROTOCOL = "protocol"
    ICMP_TYPE = "ICMP type"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that could be typed."""

    text: str
    what: What


def candidates(snapshot: Snapshot, before: str) -> list[Candidate]:
    """Return what could stand where a word is being typed.

    Args:
        snapshot: the directory.
        before: the text of the file up to the cursor, the beginning of the word included.

    """
    partial = _PARTIAL.search(before)
    behind = before[: partial.start()] if partial else before
    icmp = _ICMP.search(behind)
    if icmp:
        return [Candidate(name, What.ICMP_TYPE) for name in _ICMP_NAMES[icmp[1]]]
    return list(_of_terminals(snapshot, acceptable_behind(behind)))


def _of_terminals(snapshot: Snapshot, terminals: frozenset[str]) -> Iterator[Candidate]:
    if "ANY4" in terminals:
        yield from (Candidate(name, What.GROUP) for name in snapshot.names(Kind.GROUP))
    elif {"ANY", "NAME"} <= terminals:
        yield from (Candidate(name, What.SERVICE) for name in snapshot.names(Kind.SERVICE))
        yield from (Candidate(name, What.PROTOCOL) for name in (*PROTOCOLS, GENERIC))
    for terminal in sorted(terminals):
        if vocabulary.is_reserved(terminal):
            yield Candidate(vocabulary.spelling(terminal), What.WORD)
