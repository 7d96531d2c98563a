"""An agent as a process on a real kernel: namespaces with traffic, a bare repository, somebody who pushes."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gitops.agent_world import GIT_ENVIRONMENT, Clone, compile_here
from kernel.sizing import SIZING, settings_of

from microseg.abi import PolicyMap
from microseg.abi import digest_of as digest_of_entries
from microseg.gitops.record import AgentRecord
from microseg.gitops.record_store import RecordStore
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.reconcile.dataplane import Sizing
from microseg.reconcile.observed import read_live
from microseg.source import MemoryTree

PROGRAM = Path(sys.executable).parent / "microseg"
WEB, DATABASE = "10.1.1.1", "10.1.3.10"
PATIENCE_S = 120.0


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def wait_until(condition: Callable[[], object], what: str, *, pause_s: float = 0.02) -> None:
    """Return as soon as something is so."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, f"not within {PATIENCE_S} s: {what}"
        time.sleep(pause_s)


@contextmanager
def two_hosts() -> Iterator[str]:
    """Give a namespace with db0, at whose end another one, of the same name with a w, has web0."""
    name = f"msg{secrets.token_hex(4)}"
    ip("netns", "add", name)
    ip("netns", "add", f"{name}w")
    try:
        ip("-n", name, "link", "add", "db0", "type", "veth", "peer", "name", "web0", "netns", f"{name}w")
        for namespace, device, address in ((name, "db0", DATABASE), (f"{name}w", "web0", WEB)):
            ip("-n", namespace, "address", "add", f"{address}/16", "dev", device)
            ip("-n", namespace, "link", "set", device, "up")
        yield name
    finally:
        ip("netns", "delete", name)
        ip("netns", "delete", f"{name}w")


class AgentMachine:
    """One instance whose commands are processes in the namespace of db0."""

    def __init__(self, folder: Path, pins: Path, namespace: str, sizing: Sizing = SIZING) -> None:
        self.sizing = sizing
        self.folder, self.namespace = folder, namespace
        self.state_dir, self.run_dir, self.pin_dir = folder / "state", folder / "run", pins / namespace
        self.clone = Clone(folder / "repositories")
        self.settings = folder / "microseg.toml"
        self.configure()
        self.agent: subprocess.Popen[bytes] | None = None
        self.store = RecordStore(self.state_dir, self.run_dir)

    def configure(self, policy_dir: Path | None = None, **agent: object) -> None:
        """Write microseg.toml; what isn't given of [agent] follows the bare repository."""
        table = {"remote": str(self.clone.bare), "interval_s": 3600, "backoff_s": 0.2, **agent}
        lines = [f"{name} = {json.dumps(value)}" for name, value in table.items() if value is not None]
        self.settings.write_text(
            f'policy_dir = "{policy_dir or self.clone.policies}"\n'
            f'state_dir = "state"\nrun_dir = "run"\npin_dir = "{self.pin_dir}"\ninterfaces = ["db0"]\n'
            f"{settings_of(self.sizing)}"
            "[agent]\n" + "\n".join(lines) + "\n"
        )

    def command(self, *words: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.namespace}", str(PROGRAM), *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | GIT_ENVIRONMENT | {"MICROSEG_CONFIG": str(self.settings)}
        return subprocess.run(
            self.command(*words),
            env=environment,
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE_S,
        )

    def objects(self, *words: str) -> Any:
        done = self.run(*words, "--format", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def start(self) -> None:
        environment = os.environ | GIT_ENVIRONMENT | {"MICROSEG_CONFIG": str(self.settings)}
        with (self.folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(self.command("agent"), env=environment, stderr=log)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.agent
        self.agent.send_signal(number)
        code, self.agent = self.agent.wait(PATIENCE_S), None
        return code

    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    def push(self, text: str, subject: str = "change") -> str:
        """Push a policy and touch the trigger, as a post-receive hook would."""
        commit = self.clone.push(text, subject)
        self.touch()
        return commit

    def touch(self) -> None:
        (self.run_dir / "agent" / "trigger").touch()

    def record(self) -> AgentRecord:
        return self.store.read()[0]

    def wait_for(self, commit: str) -> None:
        """Return once the agent says that a commit is in force."""

        def is_applied() -> bool:
            applied = self.record().applied
            return applied is not None and applied.candidate.identity == commit

        wait_until(is_applied, f"{commit} is applied:\n{self.log()}")

    def wait_for_refusal(self, commit: str) -> None:
        """Return once the agent has tried a commit and says that it wasn't to be."""

        def is_refused() -> bool:
            attempt = self.record().attempt
            return attempt is not None and attempt.candidate.identity == commit and not attempt.succeeded

        wait_until(is_refused, f"{commit} is refused:\n{self.log()}")

    def enforced(self) -> bytes:
        """Return the digest of the entries packets are judged by; empty: everything passes."""
        plane = PinnedDataPlane(self.pin_dir)
        try:
            observed, live = read_live(plane)
            return digest_of_entries(live.config, live.maps) if observed.generation else b""
        finally:
            plane.close()

    def digest(self, text: str) -> bytes:
        """Return the digest of what a policy compiles to."""
        from microseg.cli.clock import now  # noqa: PLC0415  the agent's own clock

        capacities: dict[PolicyMap, int] = self.sizing.policy_capacities()
        tree = MemoryTree({"shop.mseg": text.encode()})
        return compile_here(tree, None, now().date(), capacities).contents.config.digest

    def clean_up(self) -> None:
        if self.agent and self.agent.poll() is None:
            self.stop(signal.SIGKILL)
        self.run("detach")
        shutil.rmtree(self.pin_dir, ignore_errors=True)


def socket_in(namespace: str, kind: socket.SocketKind) -> socket.socket:
    """Return a socket of a namespace, whichever one this process is in."""
    found: list[socket.socket] = []

    def make() -> None:
        clone_newnet = 0x40000000
        with open(f"/run/netns/{namespace}", "rb") as other:  # noqa: PTH123  a namespace file, for its descriptor
            assert ctypes.CDLL(None, use_errno=True).setns(other.fileno(), clone_newnet) == 0
        found.append(socket.socket(socket.AF_INET, kind))

    thread = threading.Thread(target=make)  # a thread has a namespace of its own, and it ends with it
    thread.start()
    thread.join()
    return found[0]


@contextmanager
def datagrams(namespace: str, port: int, *, every_s: float = 0.001) -> Iterator[Callable[[], float]]:
    """Send datagrams from web to the database meanwhile; give a function that waits for the next to arrive.

    It returns when that was, in seconds of the monotonic clock.
    """
    ended = threading.Event()
    with (
        socket_in(namespace, socket.SOCK_DGRAM) as listening,
        socket_in(f"{namespace}w", socket.SOCK_DGRAM) as from_,
    ):
        listening.bind((DATABASE, port))
        listening.settimeout(PATIENCE_S)

        def send() -> None:
            while not ended.wait(every_s):
                from_.sendto(b"x", (DATABASE, port))

        def arrival() -> float:
            listening.recv(1)
            return time.monotonic()

        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield arrival
        finally:
            ended.set()
            sender.join()
