"""A compilation as bytes, and back. Reading is strict: what comes from confinement is anybody's text."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias

from microseg.abi import (
    KEY_SIZES,
    SLOT_CONFIG_SIZE,
    VALUE_SIZES,
    PolicyMap,
    SlotConfig,
    SlotContents,
    digest_of,
)
from microseg.confined.changes import changed_mapping, changed_sections, mapping_changes, section_changes
from microseg.confined.limits import Limits
from microseg.diagnostics import Code, Diagnostic, Label, Severity
from microseg.policy.addresses import AddressSet, Family
from microseg.policy.packet import Packet
from microseg.policy.rules import Verdict
from microseg.reconcile.evidence import Evidence, Expected
from microseg.reconcile.records import Attribution, Names
from microseg.reconcile.safeguards import Kept, Lifelines
from microseg.source import Span
from microseg.tables import Packed, pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from microseg.abi import Entries

Json: TypeAlias = Any
"""Whatever JSON can say."""

_COUNT = struct.Struct("=I")
_CODES = {code.value: code for code in Code}


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be compiled.

    Attributes:
        paths: of the policy files.
        today: decides which rules have expired.
        capacities: entries each kernel map can hold; None: not known.
        audit: only report what would be denied.
        lifelines: what must not be cut.
        limits: what it may take.
        versions: of files; the content of one is the same as long as this is. Others are read anew.
        base: digest of the last answer, in hexadecimal: what differs from that is enough; empty: none.

    """

    paths: tuple[str, ...]
    today: date
    capacities: Mapping[PolicyMap, int] | None
    audit: bool
    lifelines: Lifelines
    limits: Limits
    versions: Mapping[str, str] = field(default_factory=dict)
    base: str = ""

    def to_bytes(self) -> bytes:
        """Return it as JSON; file names that aren't UTF-8 survive."""
        room = self.capacities
        value = {
            "paths": self.paths,
            "today": self.today.isoformat(),
            "capacities": None if room is None else {name.value: count for name, count in room.items()},
            "audit": self.audit,
            "kept": [[kept.name, _packet_to_json(kept.packet)] for kept in self.lifelines.kept],
            "hosts": [self.lifelines.hosts.v4, self.lifelines.hosts.v6],
            "limits": asdict(self.limits),
            "versions": dict(self.versions),
            "base": self.base,
        }
        return json.dumps(value).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Job:
        """Read what the other side, which is trusted, has sent."""
        value = json.loads(data)
        room = value["capacities"]
        return cls(
            tuple(value["paths"]),
            date.fromisoformat(value["today"]),
            None if room is None else {PolicyMap(name): count for name, count in room.items()},
            value["audit"],
            _lifelines(value["kept"], value["hosts"]),
            Limits(**value["limits"]),
            value["versions"],
            value["base"],
        )


@dataclass(frozen=True, slots=True)
class Said:
    """What is said about a policy.

    Attributes:
        diagnostics: what is wrong, or remarkable.
        failures: tests that don't hold.
        sources: the text of the files that are spoken of, by path.
        accepted: nothing is wrong, so the image that was handed over is what it stands for.
        names: what the numbers of the image mean; nothing when there is none.
        evidence: what the policy does to lifelines and to some packets.

    """

    diagnostics: tuple[Diagnostic, ...]
    failures: tuple[Diagnostic, ...]
    sources: Mapping[str, str]
    accepted: bool = False
    names: Names = field(default_factory=Names)
    evidence: Evidence = field(default_factory=Evidence)


def said_to_bytes(said: Said, names: Names | None = None, base: str = "") -> bytes:
    """Return it as JSON; file names that aren't UTF-8 survive.

    Args:
        said: all of it.
        names: of the answer that this is a difference to; None: of none.
        base: what that answer is called.

    """
    before = names or Names()
    value = {
        "base": base,
        "diagnostics": [_diagnostic_to_json(each) for each in said.diagnostics],
        "failures": [_diagnostic_to_json(each) for each in said.failures],
        "sources": dict(said.sources),
        "accepted": said.accepted,
        "rules": section_changes(before.rules, said.names.rules, _attribution_to_json),
        "sets": mapping_changes(before.sets, said.names.sets, str),
        "services": mapping_changes(before.services, said.names.services, str),
        "cuts": said.evidence.cuts,
        "expected": [_expected_to_json(each) for each in said.evidence.expected],
    }
    return json.dumps(value).encode()


def said_from_bytes(data: bytes, known: Mapping[str, Names] | None = None) -> Said:
    """Read it, given the names of answers it may be a difference to; raises ValueError for anything else."""
    try:
        value = json.loads(data)
        base = {"": Names(), **(known or {})}[value["base"]]
        rules = changed_sections(base.rules, value["rules"], _attribution)
        sets = changed_mapping(base.sets, value["sets"], _text)
        services = changed_mapping(base.services, value["services"], _text)
        return Said(
            tuple(_diagnostic(each) for each in value["diagnostics"]),
            tuple(_diagnostic(each) for each in value["failures"]),
            {_text(path): _text(text) for path, text in value["sources"].items()},
            _yes_or_no(value["accepted"]),
            Names(rules, sets, services),
            Evidence(
                tuple(_text(cut) for cut in value["cuts"]),
                tuple(_expected(each) for each in value["expected"]),
            ),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not what is said about a policy: {error!r}") from error


def contents_to_bytes(contents: SlotContents) -> bytes:
    """Return an image: defaults and digest, then each map's count, keys and values, in ascending order."""
    parts = [contents.config.to_bytes()]
    for name in PolicyMap:
        parts += (_COUNT.pack(len(contents.maps[name])), pack(contents.maps[name]))
    return b"".join(parts)


def contents_from_bytes(data: bytes) -> SlotContents:
    """Read an image; raises ValueError for anything else, or when its digest isn't that of its entries."""
    try:
        config = SlotConfig.from_bytes(data[:SLOT_CONFIG_SIZE])
        maps, at = {}, SLOT_CONFIG_SIZE
        for name in PolicyMap:
            maps[name], at = _entries(data, at, name)
    except struct.error as error:
        raise ValueError(f"an image cut short: {error}") from error
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes behind the image")
    if config.generation or config.default_verdict is None or digest_of(config, maps) != config.digest:
        raise ValueError("an image whose digest isn't that of its entries")
    return SlotContents(maps, config)


def _entries(data: bytes, at: int, name: PolicyMap) -> tuple[Entries, int]:
    (count,) = _COUNT.unpack_from(data, at)
    start, key_size = at + _COUNT.size, KEY_SIZES[name]
    size = key_size + VALUE_SIZES[name]
    end = start + count * size
    if end > len(data):
        raise ValueError(f"{name.value} is cut short")
    starts = range(start, end, size)
    entries = Packed((data[one : one + key_size], data[one + key_size : one + size]) for one in starts)
    if entries.packed != data[start:end]:
        raise ValueError(f"the keys of {name.value} aren't ascending")
    return entries, end


def _diagnostic_to_json(diagnostic: Diagnostic) -> Json:
    labels = [[*_span_to_json(label.span), label.text] for label in diagnostic.labels]
    head = (diagnostic.code.value, diagnostic.severity.value, diagnostic.message)
    return [*head, _span_to_json(diagnostic.span), labels, diagnostic.help]


def _diagnostic(value: Json) -> Diagnostic:
    code, severity, message, span, labels, advice = _list(value, 6)
    return Diagnostic(
        _CODES[_text(code)],
        Severity(_text(severity)),
        _text(message),
        _span(span),
        tuple(Label(_span(each[:5]), _text(each[5])) for each in (_list(each, 6) for each in labels)),
        _text(advice),
    )


def _span_to_json(span: Span) -> list[Json]:
    return [span.path, span.line, span.column, span.end_line, span.end_column]


def _span(value: Json) -> Span:
    path, *numbers = _list(value, 5)
    line, column, end_line, end_column = (_number(each) for each in numbers)
    return Span(_text(path), line, column, end_line, end_column)


def _attribution_to_json(at: Attribution) -> Json:
    return [at.policy, at.text, at.path, at.line]


def _attribution(value: Json) -> Attribution:
    policy, text, path, line = _list(value, 4)
    return Attribution(_text(policy), _text(text), _text(path), _number(line))


def _lifelines(kept: Json, hosts: Json) -> Lifelines:
    v4, v6 = (tuple((low, high) for low, high in spans) for spans in hosts)
    return Lifelines(tuple(Kept(name, _packet(packet)) for name, packet in kept), AddressSet(v4, v6))


def _expected_to_json(expected: Expected) -> Json:
    verdict = expected.verdict.value
    return [_packet_to_json(expected.packet), verdict, expected.rule, expected.log, expected.by]


def _expected(value: Json) -> Expected:
    packet, verdict, rule, log, by = _list(value, 5)
    number = _number(rule, 1 << 32)
    return Expected(_packet(packet), Verdict(_number(verdict)), number, _yes_or_no(log), _text(by))


def _packet_to_json(packet: Packet) -> Json:
    ends = packet.src.version, int(packet.src), int(packet.dst)
    return [*ends, packet.protocol, packet.port, packet.source_port]


def _packet(value: Json) -> Packet:
    version, src, dst, protocol, port, source_port = _list(value, 6)
    family = Family(version)
    from_, to = (family.address(_number(end, family.highest + 1)) for end in (src, dst))
    return Packet(from_, to, _number(protocol, 1 << 8), _number(port, 1 << 16), _number(source_port, 1 << 16))


def _list(value: Json, length: int) -> list[Json]:
    if not isinstance(value, list) or len(value) != length:
        raise ValueError(f"not a list of {length}")
    return value


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004  every reader says so by a ValueError
    return value


def _yes_or_no(value: Json) -> bool:
    if not isinstance(value, bool):
        raise ValueError("not a yes or no")  # noqa: TRY004  as in _text
    return value


def _number(value: Json, end: int = 1 << 31) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < end:
        raise ValueError(f"not a number below {end}")
    return value


def spoken_of(diagnostics: Iterable[Diagnostic]) -> set[str]:
    """Return the files that diagnostics point into."""
    return {span.path for each in diagnostics for span in (each.span, *(it.span for it in each.labels))}
