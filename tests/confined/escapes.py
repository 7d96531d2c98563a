"""Run as a process: gives up its privileges, tries what a broken compiler would try, and says what worked."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from microseg.confined import cage
from microseg.confined.limits import Limits

LIBC = ctypes.CDLL(None, use_errno=True)
BPF, PTRACE = 321, 101


def of_kernel(number: int, *arguments: int) -> None:
    if LIBC.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def begin_a_program() -> None:
    os.execv("/bin/true", ["true"])  # noqa: S606  it must not come to that


def begin_a_process() -> None:
    if not os.fork():
        os._exit(0)


def take_memory() -> None:
    bytes(1 << 33)


WAYS: dict[str, Callable[[], object]] = {
    "socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "unix socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "root's file": lambda: Path("/etc/shadow").read_bytes(),
    "anybody's file": lambda: Path("/etc/passwd").read_bytes(),
    "new file": lambda: Path("/tmp/escaped").write_text("x"),  # noqa: S108  it must not come to that
    "list": lambda: list(Path("/").iterdir()),
    "program": begin_a_program,
    "process": begin_a_process,
    "signal": lambda: os.kill(int(sys.argv[1]), signal.SIGWINCH),
    "root again": lambda: os.setresuid(0, 0, 0),
    "bpf": lambda: of_kernel(BPF, 0, 0, 0),
    "ptrace": lambda: of_kernel(PTRACE, 16, int(sys.argv[1]), 0, 0),
    "memory": take_memory,
}


def main() -> None:
    out = os.dup(1)
    cage.enter()
    cage.enter_job(Limits(memory=1 << 31))
    for name, attempt in WAYS.items():
        try:
            attempt()
        except (OSError, MemoryError):
            continue
        os.write(out, f"{name}\n".encode())
    os.write(out, b"end\n")
    os._exit(0)


if __name__ == "__main__":
    main()
