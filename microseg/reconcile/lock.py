"""One writer at a time.

The lock is an flock on a file that is never removed, so a dead holder's lock is free at once and two writers
can't hold two files of the same name. Its content says who holds it.
"""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING, Self

from microseg.reconcile import durable
from microseg.reconcile.errors import LockHeldError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

POLL_S = 0.05
FILE_NAME = "lock"


class Lock:
    """The lock of one instance; a context manager that holds it.

    Args:
        run_dir: where its file is.
        command: what to tell others who wait.
        timeout_s: how long to wait for another holder; 0: not at all.

    """

    def __init__(self, run_dir: Path, command: str, timeout_s: float = 0.0) -> None:
        self._path = run_dir / FILE_NAME
        self._command = command
        self._timeout_s = timeout_s
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; raises LockHeldError when somebody keeps it beyond the timeout, or OSError."""
        durable.make_directory(self._path.parent)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, durable.FILE_MODE)
        try:
            self._wait(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n{self._command}\n".encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others in; nothing happens when the lock isn't held."""
        if self._descriptor is None:
            return
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _wait(self, descriptor: int) -> None:
        give_up_at = time.monotonic() + self._timeout_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= give_up_at:
                    raise LockHeldError(_holder(descriptor)) from None
                time.sleep(POLL_S)
            else:
                return


def _holder(descriptor: int) -> str:
    """Return who wrote the file, for a sentence."""
    pid, _, command = os.pread(descriptor, 4096, 0).decode(errors="replace").partition("\n")
    if not pid.isdecimal():
        return "another process"
    return f"process {pid} ({command.strip()})"
