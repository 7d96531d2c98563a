"""What a rollback and a staging take, by the size of the policy: `make bench-apply`.

Exits with 1 when a limit is missed. It attaches to lo, so it is run in a network namespace of its own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.results import Limit, Row, Section, Table, report

from microseg.abi import PolicyMap, SlotConfig, SlotContents, with_digest
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.policy.rules import Verdict
from microseg.reconcile import staging
from microseg.reconcile.apply import apply
from microseg.reconcile.dataplane import Attachment, Sizing
from microseg.reconcile.desired import Desired
from microseg.reconcile.observed import read_observed, read_slot
from microseg.reconcile.rollback import roll_back
from microseg.reconcile.state import StateStore
from microseg.reconcile.transaction import Host, Operator, Request

FEW, RULES, MANY = 10, 10_000, 100_000
ROUNDS = 9
ROLLBACK_LIMIT, STAGING_LIMIT = 2.0, 0.05
OPERATOR = Operator("root", "bench")
COMMAND = "make bench-apply"
NOTE = f"Medians of {ROUNDS}. The time of staging is processor time, most of it spent on what differs."


def contents_of(count: int, changed: int = 0) -> SlotContents:
    """Return so many entries of the policy map, the first few of them changed."""
    maps: dict[PolicyMap, dict[bytes, bytes]] = {name: {} for name in PolicyMap}
    for number in range(count):
        key = number.to_bytes(4, "little") + bytes(8)
        value = (1 + (number < changed)).to_bytes(4, "little") + bytes(4) + bytes([1, 0, 0, 0])
        maps[PolicyMap.POLICY][key] = value
    config = SlotConfig(0, Verdict.DENY)
    return SlotContents(maps, with_digest(config, maps))


@contextmanager
def a_host(sizing: Sizing) -> Iterator[Host]:
    """An instance with maps of a size."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "bpf"
        pins.mkdir()
        subprocess.run(["mount", "-t", "bpf", "bpf", pins], check=True)
        plane = PinnedDataPlane(pins / "bench")
        try:
            plane.load(sizing)
            store, run_dir = StateStore(Path(folder) / "state"), Path(folder) / "run"
            yield Host(plane, store, run_dir, lambda: datetime.now(UTC))
        finally:
            plane.unload()
            subprocess.run(["umount", pins], check=True)


def put_in_force(host: Host, contents: SlotContents) -> None:
    where = (Attachment("lo", host.plane.preferred_hook()),)
    sizing = Sizing(rules=2 * MANY)
    apply(host, Request(lambda _: Desired(contents), OPERATOR, attachments=where, sizing=sizing))


def rollback_ms(host: Host, count: int) -> float:
    """Return the median time of a rollback between two policies of so many entries."""
    taken = []
    for number in range(ROUNDS):
        put_in_force(host, contents_of(count, 2 * number))
        put_in_force(host, contents_of(count, 2 * number + 1))
        began = time.monotonic()
        roll_back(host, OPERATOR)
        taken.append((time.monotonic() - began) * 1000)
    return statistics.median(taken)


def staging_ms(host: Host, before: SlotContents, after: SlotContents) -> float:
    """Return the median CPU time of writing one policy over another in the standby slot."""
    plane, taken = host.plane, []
    observed = read_observed(plane)
    slot, generation = observed.standby, observed.next_generation()
    for _ in range(ROUNDS):
        staging.stage(plane, slot, read_slot(plane, slot), before, generation)
        began = time.process_time()
        staging.stage(plane, slot, before, after, generation)
        taken.append((time.process_time() - began) * 1000)
    return statistics.median(taken)


def measured() -> Section:
    """Measure everything."""
    with a_host(Sizing(rules=2 * MANY)) as host:
        few, many = rollback_ms(host, FEW), rollback_ms(host, MANY)
        nothing, old, new = contents_of(0), contents_of(RULES), contents_of(RULES, 1)
        whole, one = staging_ms(host, nothing, new), staging_ms(host, old, new)
    rows = (
        Row(f"rollback at {FEW} entries", (few,)),
        Row(f"rollback at {MANY:,} entries", (many,)),
        Row(f"staging {RULES:,} rules", (whole,)),
        Row(f"staging a change of one rule of {RULES:,}", (one,)),
    )
    return Section(
        "apply and rollback",
        (Table("Rollback and staging", ("ms",), rows, COMMAND, NOTE),),
        (
            Limit(f"rollback at {MANY:,} entries, times at {FEW}", many / few, most=ROLLBACK_LIMIT),
            Limit(f"staging one rule, of staging {RULES:,}", one / whole, most=STAGING_LIMIT),
        ),
    )


if __name__ == "__main__":
    sys.exit(report(measured, __doc__))
