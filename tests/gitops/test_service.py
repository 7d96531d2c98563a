"""The agent as a service: what it tells its manager, and that the unit's capabilities are enough."""

from __future__ import annotations

import configparser
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bpf_mount import bpf_file_system
from gitops.agent_machine import PROGRAM, AgentMachine, two_hosts
from gitops.agent_world import GIT_ENVIRONMENT, git, policy
from tree import ROOT

from microseg.gitops.record import AgentRecord, Attempt, Candidate, Cycle, Observation, Reason, Try, Wait
from microseg.gitops.service_manager import ServiceManager
from microseg.reconcile.apply import StepName
from microseg.reconcile.records import Outcome
from microseg.reconcile.revision import Revision

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CANDIDATE = Candidate("c" * 40, Revision("c" * 40, "a subject\nof two lines"))
ATTEMPT = Attempt(CANDIDATE, Reason.NEW, NOW, Outcome.REFUSED, "shop.mseg:1:1: MS001\nREADY=1")


class Manager:
    """The other end of NOTIFY_SOCKET, which takes everything in at once, as a service manager does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._heard: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def hear(self) -> str:
        return self._heard.get(timeout=120)

    def wait_for(self, line: str) -> None:
        until = time.monotonic() + 120
        while line not in self.hear().splitlines():
            assert time.monotonic() < until, line

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"", self._socket.getsockname())
        self._listener.join()
        self._socket.close()

    def _listen(self) -> None:
        while said := self._socket.recv(4096):
            self._heard.put(said.decode())


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    path = str(tmp_path / "notify")
    made = Manager(path if request.param == "path" else f"@microseg-{os.getpid()}-{tmp_path.name}")
    yield made
    made.close()


def test_every_turn_is_told(manager: Manager) -> None:
    watchdog = {"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": str(os.getpid())}
    told = ServiceManager({"NOTIFY_SOCKET": manager.address} | watchdog)
    assert told.heartbeat_s == 2
    seen = Observation(NOW, CANDIDATE)
    told.started(AgentRecord())
    assert manager.hear() == "READY=1\nSTATUS=nothing applied yet"
    told.decided(seen, Try(CANDIDATE, Reason.NEW))
    assert manager.hear() == "WATCHDOG=1\nSTATUS=new revision: cccccccccc (a subject of two lines)"
    told.step(StepName.STAGE)
    assert manager.hear() == "WATCHDOG=1\nSTATUS=applying: stage"
    told.ended(Cycle(seen, Try(CANDIDATE, Reason.NEW), AgentRecord(), ATTEMPT))
    assert manager.hear().splitlines()[1].endswith("refused: shop.mseg:1:1: MS001 READY=1")
    told.ended(Cycle(seen, Wait("as desired"), AgentRecord()))
    told.alive()
    assert manager.hear() == "WATCHDOG=1"
    told.stopped(AgentRecord())
    assert manager.hear().startswith("STOPPING=1\n")


def test_without_a_manager_nothing_is_said_and_nothing_fails(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}):
        alone = ServiceManager(environment)
        alone.started(AgentRecord())
        alone.alive()
        assert alone.heartbeat_s is None


@pytest.mark.parametrize("environment", [{"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}])
def test_signs_of_life_are_shown_only_when_they_are_wanted(environment: dict[str, str]) -> None:
    assert ServiceManager({"NOTIFY_SOCKET": "/x", **environment}).heartbeat_s is None


def unit() -> configparser.SectionProxy:
    read = configparser.RawConfigParser(strict=False)
    read.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    read.read(ROOT / "examples" / "systemd" / "microseg-agent.service")
    return read["Service"]


def test_the_unit_gives_up_what_it_can() -> None:
    service = unit()
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) >= 60
    assert "ExecStop" not in service
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    granted = set(service["CapabilityBoundingSet"].split())
    assert granted == {f"CAP_{it}" for it in ("BPF", "NET_ADMIN", "PERFMON", "SETUID", "SETGID", "KILL")}


class ServiceMachine(AgentMachine):
    """An agent with the capabilities of the unit and a manager."""

    notify = ""

    def start(self) -> None:
        capabilities = "".join(f",+{it[4:].lower()}" for it in unit()["CapabilityBoundingSet"].split())
        narrowed = ["setpriv", "--no-new-privs", f"--bounding-set=-all{capabilities}", "--inh-caps=-all"]
        env = os.environ | GIT_ENVIRONMENT | {"MICROSEG_CONFIG": str(self.settings)}
        env |= {"NOTIFY_SOCKET": self.notify, "WATCHDOG_USEC": "300000"}
        words = ["nsenter", f"--net=/run/netns/{self.namespace}", *narrowed, str(PROGRAM), "agent"]
        with (self.folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(words, env=env, stderr=log)


def scraped(namespace: str) -> str:
    """Return what a Prometheus beside the agent would read."""
    code = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9464/metrics').read().decode())"
    words = ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, "-c", code]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.mark.kernel
def test_the_agent_works_with_the_capabilities_of_the_unit(tmp_path: Path) -> None:
    """From nothing: the program loaded and attached, a policy compiled in confinement and applied."""
    with bpf_file_system(tmp_path / "pins") as pins, two_hosts() as namespace:
        machine = ServiceMachine(tmp_path, pins, namespace)
        manager = Manager(str(tmp_path / "notify"))
        machine.notify = manager.address
        try:
            subprocess.run(["ip", "-n", namespace, "link", "set", "lo", "up"], check=True)
            machine.configure(metrics="127.0.0.1:9464", notes="push")
            commit = machine.clone.push(policy(1), "the first")
            machine.start()
            manager.wait_for("READY=1")
            machine.wait_for(commit)
            manager.wait_for(f"STATUS=generation 1 is in force: {commit[:10]} (the first)")
            for _ in range(2):
                manager.wait_for("WATCHDOG=1")
            assert machine.agent
            status = Path(f"/proc/{machine.agent.pid}/status").read_text()
            assert int(status.partition("CapEff:\t")[2].split()[0], 16).bit_count() == 6
            figures = scraped(namespace)
            assert f'microseg_revision_info{{commit="{commit[:10]}",role="applied"}} 1.0' in figures
            assert 'microseg_applies_total{outcome="done"} 1.0' in figures
            assert "microseg_generation 1.0" in figures
            assert machine.stop(signal.SIGTERM) == 0
            notes = git(machine.clone.bare, "notes", "--ref=microseg", "show", commit)
            assert notes.endswith(" done: generation 1")
            manager.wait_for("STOPPING=1")
            assert machine.enforced()
        finally:
            manager.close()
            machine.clean_up()
