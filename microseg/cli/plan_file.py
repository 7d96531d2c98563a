"""Plans in files: written by plan --out, carried out by apply FILE."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from microseg.reconcile import durable, saved
from microseg.reconcile.dataplane import Hook

if TYPE_CHECKING:
    from microseg.config import Settings
    from microseg.reconcile.saved import SavedPlan
    from microseg.reconcile.transaction import Transaction


def write(path: Path, tx: Transaction, settings: Settings, rev: str | None, *, audit: bool) -> None:
    """Save a proposal; raises OSError."""
    origin = saved.Origin(
        str(settings.policy_dir.resolve()),
        rev,
        audit,
        settings.interfaces,
        settings.hook.value if settings.hook else "",
    )
    durable.write(path, saved.to_bytes(saved.of_transaction(tx, origin, secrets.token_hex(16))))


def settings_of(plan: SavedPlan, settings: Settings) -> Settings:
    """Return the settings as they were for the plan."""
    origin = plan.origin
    return replace(
        settings,
        policy_dir=Path(origin.policy_dir),
        interfaces=origin.interfaces,
        hook=Hook(origin.hook) if origin.hook else None,
    )
