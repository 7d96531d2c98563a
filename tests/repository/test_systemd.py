"""The unit files are what systemd takes, and do what they say."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest
from tree import ROOT

UNITS = sorted((ROOT / "examples" / "systemd").glob("*.service"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_has_nothing_to_say_about_it(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", unit],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_policy_is_there_before_the_network_and_stays_when_the_unit_stops() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    unit.read(ROOT / "examples" / "systemd" / "microseg-restore.service")
    assert "network-pre.target" in unit["Unit"]["Before"]
    assert "network-pre.target" in unit["Unit"]["Wants"]
    assert unit["Service"]["Type"] == "oneshot"
    assert "microseg restore" in unit["Service"]["ExecStart"]
    assert "ExecStop" not in unit["Service"]
