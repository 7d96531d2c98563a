"""The command line over a kernel in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.terminal_session import Session
from reconcile.fake import FakeDataPlane


@pytest.fixture
def plane() -> FakeDataPlane:
    return FakeDataPlane()


@pytest.fixture
def session(tmp_path: Path, plane: FakeDataPlane, monkeypatch: pytest.MonkeyPatch) -> Session:
    """An instance with a small policy in a folder of its own."""
    monkeypatch.setattr("microseg.cli.instance.open_plane", lambda _: plane)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for name in ("POLICY_DIR", "STATE_DIR", "RUN_DIR", "PIN_DIR", "INTERFACES", "HOOK", "CONFIG"):
        monkeypatch.delenv(f"MICROSEG_{name}", raising=False)
    return Session(tmp_path)
