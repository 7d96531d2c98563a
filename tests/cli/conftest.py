"""The command line over a kernel in memory, and over a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bpf_mount import bpf_file_system
from cli.fake_flows import FakeFlows
from cli.machine import Machine, network
from cli.terminal_session import Session
from kernel.borrowed import Lender
from reconcile.fake import FakeDataPlane

from microseg.reconcile.safeguards import NO_LIFELINES


@pytest.fixture
def plane() -> FakeDataPlane:
    return FakeDataPlane()


@pytest.fixture
def flows() -> FakeFlows:
    return FakeFlows()


@pytest.fixture
def session(
    tmp_path: Path, plane: FakeDataPlane, flows: FakeFlows, monkeypatch: pytest.MonkeyPatch
) -> Session:
    """An instance with a small policy in a folder of its own."""
    monkeypatch.setattr("microseg.cli.instance.open_plane", lambda _: plane)
    monkeypatch.setattr("microseg.cli.instance.open_flows", lambda _: flows)
    monkeypatch.setattr("microseg.cli.lifelines.of", lambda _: NO_LIFELINES)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for name in ("POLICY_DIR", "STATE_DIR", "RUN_DIR", "PIN_DIR", "INTERFACES", "HOOK", "CONFIG"):
        monkeypatch.delenv(f"MICROSEG_{name}", raising=False)
    return Session(tmp_path)


@pytest.fixture(scope="module")
def pins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A BPF file system."""
    with bpf_file_system(tmp_path_factory.mktemp("bpffs")) as folder:
        yield folder


@pytest.fixture
def machine(tmp_path: Path, pins: Path) -> Iterator[Machine]:
    """An instance whose commands are processes on a real kernel."""
    with network(tmp_path, pins) as made:
        yield made


@pytest.fixture
def loaded_machine(machine: Machine, lender: Lender) -> Machine:
    """One that finds its programs loaded, for what is about something else."""
    lender.lend(machine.pin_dir)
    return machine
