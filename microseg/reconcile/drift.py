"""What differs between the kernel and what was applied, named as people know it. It changes nothing.

Entries are held against those that were recorded of the generation in force, filters against the interfaces
that were recorded, programs against their recorded tags. `apply` puts right what is ours; what belongs to
others is only told (I7).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, assert_never

from microseg.abi import (
    PolicyMap,
    decode_policy_key,
    decode_policy_value,
    decode_service_list,
    decode_set_list,
)
from microseg.reconcile.dataplane import Flaw
from microseg.reconcile.errors import StateFileError
from microseg.reconcile.observed import actual_digest, read_live
from microseg.reconcile.plan import Change, differences
from microseg.reconcile.records import Names, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.abi import SlotContents
    from microseg.reconcile.dataplane import Irregularity
    from microseg.reconcile.observed import Observed
    from microseg.reconcile.records import Applied, Attribution
    from microseg.reconcile.transaction import Host


class Drift(Enum):
    """A kind of difference; the value is how it's called."""

    ENTRY_REMOVED = "entry removed"
    ENTRY_ALTERED = "entry altered"
    ENTRY_ADDED = "entry added"
    SLOT = "slot altered"
    GENERATION = "generation unknown"
    PROGRAM = "program altered"
    FILTER_MISSING = "filter missing"
    FILTER_REPLACED = "filter replaced"
    FILTER_SHADOWED = "filter shadowed"
    PIN_MISSING = "pin missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference.

    Attributes:
        drift: its kind.
        subject: what is concerned: an interface, a pin, a program; empty for entries.
        detail: what is there, in words; empty for entries.
        change: of an entry, from what was applied to what is there.
        rules: rules that the entry serves, the first of the text first.

    """

    drift: Drift
    subject: str = ""
    detail: str = ""
    change: Change | None = None
    rules: tuple[Attribution, ...] = ()


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All differences, and what they were found against.

    Attributes:
        observed: the kernel's state.
        applied: what was recorded of the generation in force; None when nothing is.
        names: what the numbers of entries mean.
        findings: in the order of `Drift`.
        problems: what could not be compared, for people.

    """

    observed: Observed
    applied: Applied | None
    names: Names
    findings: tuple[Finding, ...]
    problems: tuple[str, ...]


_FLAWS = {
    Flaw.PIN_MISSING: Drift.PIN_MISSING,
    Flaw.PROGRAM: Drift.PROGRAM,
    Flaw.FILTER_REPLACED: Drift.FILTER_REPLACED,
    Flaw.FILTER_SHADOWED: Drift.FILTER_SHADOWED,
}


def read_drift(host: Host) -> DriftReport:
    """Compare, without the lock; raises KernelError or OSError."""
    problems: list[str] = []
    state = _state(host, problems)
    observed, live = read_live(host.plane)
    applied = _applied(state, observed)
    note = host.store.read_note(applied.generation) if applied else None
    names = note.names if note else Names()
    findings = [_of_kernel(it) for it in host.plane.irregularities(host.store.read_tags())]
    replaced = {it.subject for it in findings if it.drift is Drift.FILTER_REPLACED}
    findings += _filters(host, state, observed, replaced)
    if applied:
        findings += _slot(observed, applied)
        findings += _entries(host, applied, live, names, problems)
    elif observed.generation:
        detail = "nothing is recorded of it"
        findings.append(Finding(Drift.GENERATION, f"generation {observed.generation}", detail))
    order = list(Drift)
    findings.sort(key=lambda it: order.index(it.drift))
    return DriftReport(observed, applied, names, tuple(findings), tuple(problems))


def _state(host: Host, problems: list[str]) -> State:
    try:
        return host.store.read_state()
    except StateFileError as error:
        problems.append(error.message)
        return State()


def _applied(state: State, observed: Observed) -> Applied | None:
    """Return what is recorded of the generation in force, whatever its slot says of itself."""
    for applied in (state.current, state.previous, state.confirmed):
        if applied and observed.loaded and applied.generation == observed.generation:
            return applied
    return None


def _of_kernel(found: Irregularity) -> Finding:
    return Finding(_FLAWS[found.flaw], found.subject, found.detail)


def _filters(host: Host, state: State, observed: Observed, replaced: set[str]) -> Iterator[Finding]:
    """Yield the interfaces that lost their filter."""
    for wanted in state.attached:
        if wanted in observed.attachments or wanted.interface in replaced:
            continue
        there = host.plane.has_interface(wanted.interface)
        detail = f"by {wanted.hook.value} nothing of ours judges there" if there else "the interface is gone"
        yield Finding(Drift.FILTER_MISSING, wanted.interface, detail)


def _slot(observed: Observed, applied: Applied) -> Iterator[Finding]:
    """Yield what the live slot says of itself and should not."""
    config, name = observed.configs[observed.live], f"slot {observed.live}"
    if config.generation != applied.generation:
        yield Finding(
            Drift.SLOT,
            name,
            f"is of generation {config.generation}, not {applied.generation}: every packet is dropped",
        )
    elif config.digest != applied.digest:
        yield Finding(Drift.SLOT, name, "has another digest than was applied")


def _entries(
    host: Host, applied: Applied, live: SlotContents, names: Names, problems: list[str]
) -> Iterator[Finding]:
    try:
        recorded = host.store.read_image(applied.generation, applied.digest)
    except StateFileError as error:
        if actual_digest(live) != applied.digest:
            yield Finding(Drift.SLOT, "entries", "are not those that were applied")
        problems.append(f"{error.message}; so entries can't be told one by one")
        return
    fields = ("default_verdict", "default_flags", "slot_flags")
    for field in fields:
        was, now = getattr(recorded.config, field), getattr(live.config, field)
        if was != now:
            yield Finding(Drift.SLOT, field.replace("_", " "), f"is {_word(now)}, applied was {_word(was)}")
    for change in differences(recorded, live):
        yield Finding(_kind(change), change=change, rules=_rules(change, recorded, names))


def _word(value: object) -> str:
    return str(getattr(value, "name", value)).lower()


def _kind(change: Change) -> Drift:
    if change.before is None:
        return Drift.ENTRY_ADDED
    return Drift.ENTRY_REMOVED if change.after is None else Drift.ENTRY_ALTERED


def _rules(change: Change, recorded: SlotContents, names: Names) -> tuple[Attribution, ...]:
    """Return the rules an entry serves: its own, or those that use its pair, its sets or its services."""
    value = change.before if change.before is not None else change.after
    assert value is not None, "a change has a value on one side at least"
    rules = {key: decode_policy_value(it)[1] for key, it in recorded.maps[PolicyMap.POLICY].items()}
    keys = {key: decode_policy_key(key) for key in rules}
    match change.map:
        case PolicyMap.POLICY:
            pair, own = decode_policy_key(change.key)[:2], decode_policy_value(value)[1]
            ids = {own} if own else {rules[key] for key, parts in keys.items() if parts[:2] == pair}
        case PolicyMap.SERVICE:
            services = {element.service_id for element in decode_service_list(value)}
            ids = {rules[key] for key, parts in keys.items() if parts[2] in services}
        case PolicyMap.IPCACHE4 | PolicyMap.IPCACHE6:
            sets = set(decode_set_list(value))
            ids = {rules[key] for key, parts in keys.items() if sets & {*parts[:2]}}
        case _:
            assert_never(change.map)
    found = [names.rules[rule_id] for rule_id in ids if rule_id and rule_id in names.rules]
    return tuple(sorted(found, key=lambda rule: (rule.path, rule.line, rule.text)))
