from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from microseg.reconcile.errors import LockHeldError
from microseg.reconcile.lock import Lock

HOLDER = """
import sys, time
from pathlib import Path
from microseg.reconcile.lock import Lock
with Lock(Path(sys.argv[1]), "microseg apply --rev main"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(run_dir: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run_dir), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_second_writer_is_told_who_holds_it(tmp_path: Path) -> None:
    process = holder(tmp_path, 60)
    try:
        with pytest.raises(LockHeldError) as caught:
            Lock(tmp_path, "microseg rollback").acquire()
    finally:
        end(process)
    assert caught.value.holder == f"process {process.pid} (microseg apply --rev main)"
    assert "--lock-timeout" in caught.value.advice


def test_a_second_writer_waits_as_long_as_it_is_told(tmp_path: Path) -> None:
    process = holder(tmp_path, 0.4)
    try:
        with Lock(tmp_path, "microseg rollback", timeout_s=20):
            assert process.wait(10) == 0
    finally:
        end(process)


def test_waiting_ends(tmp_path: Path) -> None:
    process = holder(tmp_path, 60)
    began = time.monotonic()
    try:
        with pytest.raises(LockHeldError):
            Lock(tmp_path, "microseg rollback", timeout_s=0.3).acquire()
    finally:
        end(process)
    assert 0.3 <= time.monotonic() - began < 5


def test_the_lock_of_a_dead_holder_is_free(tmp_path: Path) -> None:
    process = holder(tmp_path, 60)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    with Lock(tmp_path, "microseg apply"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\nmicroseg apply\n"


def test_a_released_lock_names_nobody_and_can_be_taken_again(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "run" / "instance", "microseg apply")
    for _ in range(2):
        with lock:
            pass
        assert (tmp_path / "run" / "instance" / "lock").read_bytes() == b""
    lock.release()


def test_a_holder_that_left_no_name_is_another_process(tmp_path: Path) -> None:
    with Lock(tmp_path, "microseg apply"):
        (tmp_path / "lock").write_bytes(b"\xff")
        with pytest.raises(LockHeldError, match="another process"):
            Lock(tmp_path, "microseg apply").acquire()
