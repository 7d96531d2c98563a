"""Policies and hosts for the tests of reconciliation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import strategies as st
from reconcile.fake import FakeDataPlane

from microseg.abi import (
    KEY_SIZES,
    VALUE_SIZES,
    EntryFlag,
    PolicyMap,
    SlotConfig,
    SlotContents,
    SlotFlag,
    with_digest,
)
from microseg.policy.rules import Verdict
from microseg.reconcile.desired import Desired
from microseg.reconcile.records import Attribution, Names
from microseg.reconcile.revision import Revision
from microseg.reconcile.state import StateStore
from microseg.reconcile.transaction import Host, Operator, Request

OPERATOR = Operator("root", "microseg apply")


class Clock:
    """A clock that moves on by a second whenever it's read."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


def host_of(plane: FakeDataPlane, folder: Path) -> Host:
    return Host(plane, StateStore(folder / "state"), folder / "run", Clock())


def contents_of(
    entries: Mapping[PolicyMap, Mapping[int, int]], default: Verdict = Verdict.DENY
) -> SlotContents:
    """Return contents whose keys and values are these numbers, as wide as the kernel's."""
    maps = {
        name: {
            key.to_bytes(KEY_SIZES[name], "big"): value.to_bytes(VALUE_SIZES[name], "big")
            for key, value in sorted(entries.get(name, {}).items())
        }
        for name in PolicyMap
    }
    config = SlotConfig(0, default, EntryFlag(0), SlotFlag(0))
    return SlotContents(maps, with_digest(config, maps))


def policy(number: int) -> Desired:
    """Return the desired policy of a number; different numbers differ, neighbours share entries."""
    rules = {rule: rule * 7 + (rule == number) for rule in range(1, number + 3)}
    contents = contents_of({PolicyMap.POLICY: rules, PolicyMap.IPCACHE4: {number: number}})
    names = Names({number: Attribution("p", f"allow {number}", "a.mseg", number)}, {1: "web"}, {2: "http"})
    return Desired(contents, names, Revision(f"{number:040x}", f"policy {number}"))


def request_for(desired: Desired, interfaces: Sequence[str] = ("eth0",)) -> Request:
    return Request(lambda _: desired, OPERATOR, tuple(interfaces))


def slots() -> st.SearchStrategy[SlotContents]:
    """Return random contents of few keys, so that any two share some."""
    numbers = st.dictionaries(st.integers(0, 5), st.integers(0, 3), max_size=6)
    maps = st.dictionaries(st.sampled_from(PolicyMap), numbers, max_size=4)
    return st.builds(contents_of, maps, st.sampled_from(Verdict))
