"""An instance on a real kernel: an interface in a namespace, pins in a BPF file system of their own."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli.terminal_session import Session
from kernel.sizing import SIZING, settings_of

from microseg.abi import PolicyMap
from microseg.kernel.dataplane import PinnedDataPlane

PROGRAM = Path(sys.executable).parent / "microseg"
WEB, DATABASE = "10.1.1.1", "10.1.3.10"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Machine(Session):
    """An instance whose commands are processes in a namespace: `host` is there, `web` at its cable's end."""

    def __init__(self, folder: Path, pins: Path, name: str) -> None:
        super().__init__(folder)
        self.name = name
        self.pin_dir = pins / name
        with self.settings.open("a") as settings:
            settings.write(f'pin_dir = "{self.pin_dir}"\n{settings_of(SIZING)}')
        self.plane = PinnedDataPlane(self.pin_dir)

    def run(self, *words: str, timeout_s: float = 180) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), env=self.environment(), capture_output=True, check=False, text=True,
            timeout=timeout_s,
        )  # fmt: skip

    def command(self, *words: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.name}", str(PROGRAM), *words]

    def environment(self) -> dict[str, str]:
        return os.environ | {"MICROSEG_CONFIG": str(self.settings), "GIT_CONFIG_GLOBAL": "/dev/null"}

    def expect(self, code: int, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def dump(self) -> dict[str, Any]:
        """Return everything of ours in the kernel, both slots of it."""
        plane = PinnedDataPlane(self.pin_dir)
        try:
            return {
                "root": plane.read_root(),
                "configs": [plane.read_config(slot) for slot in range(2)],
                "entries": {
                    (slot, name): plane.read_map(slot, name).entries()
                    for name in PolicyMap
                    for slot in range(2)
                },
                "tags": plane.program_tags(),
            }
        finally:
            plane.close()

    def start(self, namespace: str, code: str) -> subprocess.Popen[str]:
        """Run Python in a namespace, talked to through pipes; a server has said that it is up."""
        started = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, "-c", code],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        if "create_server" in code:
            assert started.stdout
            started.stdout.readline()
        return started

    def send(self, port: int) -> None:
        """Send a datagram from web to the database."""
        code = f"import socket as s; s.socket(s.AF_INET, s.SOCK_DGRAM).sendto(b'x', ('{DATABASE}', {port}))"
        subprocess.run(["nsenter", f"--net=/run/netns/{self.name}w", sys.executable, "-c", code], check=True)


@contextmanager
def network(folder: Path, pins: Path) -> Iterator[Machine]:
    """Give a machine in a network of two namespaces, and clean up behind it."""
    name = f"msc{secrets.token_hex(4)}"
    for namespace in (name, f"{name}w"):
        ip("netns", "add", namespace)
    try:
        ip("-n", name, "link", "add", "db0", "type", "veth", "peer", "name", "web0", "netns", f"{name}w")
        for namespace, device, address in ((name, "db0", DATABASE), (f"{name}w", "web0", WEB)):
            ip("-n", namespace, "address", "add", f"{address}/16", "dev", device)
            ip("-n", namespace, "link", "set", device, "up")
        made = Machine(folder, pins, name)
        yield made
        made.run("detach")
        shutil.rmtree(made.pin_dir, ignore_errors=True)
    finally:
        for namespace in (name, f"{name}w"):
            ip("netns", "delete", namespace)
