"""One instance of microseg as a command needs it: its kernel side, its records, its operator."""

from __future__ import annotations

import os
import pwd
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from microseg.cli.clock import now
from microseg.reconcile.state import StateStore
from microseg.reconcile.transaction import Host, Operator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microseg.config import Settings
    from microseg.kernel.dataplane import PinnedDataPlane
    from microseg.kernel.flows import Flows
    from microseg.reconcile.remembered import Remembered


def open_plane(settings: Settings) -> PinnedDataPlane:
    """Return the kernel side. Importing it takes a while, so only those import it who call this."""
    from microseg.kernel.dataplane import PinnedDataPlane  # noqa: PLC0415

    return PinnedDataPlane(settings.pin_dir)


def open_flows(settings: Settings) -> Flows:
    """Return what goes through the kernel side: statistics and events."""
    from microseg.kernel.flows import Flows  # noqa: PLC0415  as above

    return Flows(open_plane(settings))


def open_host(settings: Settings) -> Host:
    """Return the instance."""
    return Host(open_plane(settings), open_store(settings), settings.run_dir, now)


@contextmanager
def opened(settings: Settings, remembered: Remembered) -> Iterator[Host]:
    """Give the instance, and close its maps afterwards: for a process that lives on, and remembers."""
    plane = open_plane(settings)
    try:
        yield Host(plane, open_store(settings), settings.run_dir, now, remembered)
    finally:
        plane.close()


def open_store(settings: Settings) -> StateStore:
    """Return its records."""
    return StateStore(settings.state_dir)


def operator(settings: Settings) -> Operator:
    """Return who runs this command, for the records and for others who wait for the lock."""
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return Operator(_user(), command, settings.lock_timeout_s)


def _user() -> str:
    """Return the user's name, behind sudo the one who typed the command."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    caller = os.environ.get("SUDO_USER", "") if uid == 0 else ""
    return f"{caller} (sudo)" if caller else name
