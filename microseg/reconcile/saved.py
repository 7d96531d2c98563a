"""A plan in a file: what was shown is what is applied, or nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.compiler.fingerprint import fingerprint
from microseg.reconcile.errors import PlanFileError, StalePlanError
from microseg.reconcile.records import Outcome, revision_from_json, revision_to_json
from microseg.reconcile.revision import describe

if TYPE_CHECKING:
    from pathlib import Path

    from microseg.reconcile.records import Json
    from microseg.reconcile.revision import Revision
    from microseg.reconcile.transaction import Transaction

FORMAT = "microseg-saved-plan-1"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a plan was made from.

    Attributes:
        policy_dir: the policy directory, absolute.
        rev: the commit that was named; None: the files as they were.
        audit: denials are only reported.
        interfaces: where to attach.
        hook: how, in the command line's word; empty: as the kernel prefers.

    """

    policy_dir: str
    rev: str | None
    audit: bool
    interfaces: tuple[str, ...]
    hook: str


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan, as far as it is needed to tell whether it still holds.

    Attributes:
        number: random, in hexadecimal; a plan is used once.
        origin: what it was made from.
        revision: of the policy's text; None outside git.
        compiler: fingerprint of the compiler.
        desired: digest of the entries that it leads to.
        generation: in force when it was made; 0: none.
        observed: digest of the entries that were in the kernel; empty: no policy was in force.

    """

    number: str
    origin: Origin
    revision: Revision | None
    compiler: str
    desired: bytes
    generation: int
    observed: bytes


def of_transaction(tx: Transaction, origin: Origin, number: str) -> SavedPlan:
    """Return a proposal to be saved."""
    return SavedPlan(
        number,
        origin,
        tx.plan.revision,
        fingerprint(),
        tx.plan.desired,
        tx.plan.generation,
        tx.plan.observed or b"",
    )


def to_bytes(saved: SavedPlan) -> bytes:
    """Return the content of a file."""
    origin = saved.origin
    value = {
        "format": FORMAT,
        "number": saved.number,
        "policy_dir": origin.policy_dir,
        "rev": origin.rev,
        "audit": origin.audit,
        "interfaces": list(origin.interfaces),
        "hook": origin.hook,
        "revision": revision_to_json(saved.revision),
        "compiler": saved.compiler,
        "desired": saved.desired.hex(),
        "generation": saved.generation,
        "observed": saved.observed.hex(),
    }
    return json.dumps(value | {"checksum": _checksum(value)}, indent=1).encode() + b"\n"


def read(path: Path) -> SavedPlan:
    """Read a file; raises PlanFileError, or OSError when it can't be read."""
    content = path.read_bytes()
    try:
        return _from_json(json.loads(content))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PlanFileError(f"{path} is no saved plan, or damaged: {error}") from error


def _from_json(value: Json) -> SavedPlan:
    checksum = value.pop("checksum")
    if value["format"] != FORMAT:
        raise ValueError(f"its format is {value['format']!r}, this version reads {FORMAT}")
    if checksum != _checksum(value):
        raise ValueError("its checksum is wrong")
    origin = Origin(
        value["policy_dir"], value["rev"], value["audit"], tuple(value["interfaces"]), value["hook"]
    )
    return SavedPlan(
        value["number"],
        origin,
        revision_from_json(value["revision"]),
        value["compiler"],
        bytes.fromhex(value["desired"]),
        value["generation"],
        bytes.fromhex(value["observed"]),
    )


def _checksum(value: Json) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def check(saved: SavedPlan, tx: Transaction) -> None:
    """Refuse a plan that doesn't hold any more; raises StalePlanError."""
    moved = _used(saved, tx) or _moved(saved, tx)
    if moved:
        raise StalePlanError(moved)


def _used(saved: SavedPlan, tx: Transaction) -> str:
    for entry in tx.host.store.read_history():
        if entry.plan == saved.number and entry.outcome in (Outcome.DONE, Outcome.UNCHANGED):
            return f"it was used already, at {entry.at:%Y-%m-%d %H:%M:%S} UTC by {entry.who}"
    return ""


def _moved(saved: SavedPlan, tx: Transaction) -> str:
    """Return what is not as it was, empty when everything is; what people change comes first."""
    plan = tx.plan
    if plan.revision != saved.revision:
        return f"the policy is {describe(plan.revision)} now, and was {describe(saved.revision)}"
    if saved.compiler != fingerprint():
        return "another version of microseg made it, which may compile the same text otherwise"
    if plan.desired != saved.desired:
        return "the policy's files changed, or a rule has expired since"
    if plan.generation != saved.generation:
        return f"generation {plan.generation} is in force now, and it was {saved.generation}"
    if (plan.observed or b"") != saved.observed:
        return "the entries in the kernel are others now: somebody changed them"
    return ""
