"""The step that sets the program up as microseg.toml says: rates, timeouts, what passes without being judged.

Settings are no part of a generation: they take effect at the next packet and stay when the policy goes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microseg.data_plane_settings import changes, put_into

if TYPE_CHECKING:
    from microseg.abi_settings import Settings
    from microseg.data_plane_settings import SettingChange
    from microseg.reconcile.transaction import Transaction


def setting_changes(running: Settings | None, wanted: Settings | None) -> tuple[SettingChange, ...]:
    """Return what would change; nothing when nothing is asked for, or no program runs yet."""
    return changes(running, wanted) if running and wanted else ()


def tune(tx: Transaction) -> None:
    """Write the settings, the old ones kept for `put_back`."""
    wanted, plane = tx.request.settings, tx.host.plane
    if wanted:
        tx.settings_before = plane.read_settings()
        plane.write_settings(put_into(tx.settings_before, wanted))


def put_back(tx: Transaction) -> None:
    """Take `tune` back; what is adopted meanwhile stays adopted."""
    plane = tx.host.plane
    if tx.settings_before and plane.is_loaded():
        plane.write_settings(put_into(plane.read_settings(), tx.settings_before))
