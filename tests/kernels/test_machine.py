"""How a run ends, with a program in qemu's place."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from kernels.machine import Accelerator, Machine, MachineError, first_files
from kernels.package import Kernel

KERNEL = Kernel("6.1.0-1-amd64", Path("/nowhere/vmlinuz"), ())


@pytest.fixture(autouse=True)
def busybox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "busybox").touch()
    monkeypatch.setattr("kernels.machine.BUSYBOX", tmp_path / "busybox")


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, timeout_s: float = 30) -> int:
    """Run a machine whose qemu is a shell script; $outcome is the file behind its second serial port."""
    program = tmp_path / "qemu-system-x86_64"
    program.write_text(f"#!/bin/sh\nfor word; do outcome=${{word#file:}}; done\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return Machine(KERNEL, Accelerator.TCG, 64, timeout_s).run(["true"], tmp_path)


@pytest.mark.parametrize("status", [0, 1, 5])
def test_exit_status_passes_out_and_output_is_shown(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = f'printf "3 passed\\r\\n"; echo "{KERNEL.release} {status}" >"$outcome"'
    assert run(tmp_path, monkeypatch, script) == status
    assert capsys.readouterr().out == "3 passed\n"


def test_panic_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MachineError, match="before the command ended"):
        run(tmp_path, monkeypatch, "echo Kernel panic")


def test_another_kernel_than_asked_for_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MachineError, match="before the command ended"):
        run(tmp_path, monkeypatch, 'echo "5.10.0 0" >"$outcome"')


def test_time_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began_s = time.monotonic()
    with pytest.raises(MachineError, match="the machine was stopped"):
        run(tmp_path, monkeypatch, "exec sleep 60", timeout_s=0.5)
    assert time.monotonic() - began_s < 30


def test_command_runs_where_the_tests_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = first_files(KERNEL, ["pytest", "-k", "a b"])
    assert b"pytest -k 'a b'" in files
    assert bytes(tmp_path) in files
