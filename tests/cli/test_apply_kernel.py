"""The command line on a real kernel: an interface in a namespace, pins in a BPF file system of their own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.terminal_session import BROKEN, ONE_MORE, SHOP, Session

from microseg.abi import PolicyMap
from microseg.kernel.dataplane import PinnedDataPlane

pytestmark = pytest.mark.kernel

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
            settings.write(
                f'pin_dir = "{self.pin_dir}"\n[maps]\naddresses = 512\nservices = 512\nrules = 512\n'
            )
        self.plane = PinnedDataPlane(self.pin_dir)

    def run(self, *words: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
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
                    (slot, name): plane.read_entries(slot, name) for slot in range(2) for name in PolicyMap
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


def pinned(pins: Path) -> list[Path]:
    """Return what is pinned; the kernel itself keeps two files in every BPF file system."""
    return [path for path in pins.iterdir() if not path.name.endswith(".debug")]


@pytest.fixture(scope="module")
def pins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("bpffs")
    subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def machine(tmp_path: Path, pins: Path) -> Iterator[Machine]:
    name = f"msc{secrets.token_hex(4)}"
    for namespace in (name, f"{name}w"):
        ip("netns", "add", namespace)
    try:
        ip("-n", name, "link", "add", "db0", "type", "veth", "peer", "name", "web0", "netns", f"{name}w")
        for namespace, device, address in ((name, "db0", DATABASE), (f"{name}w", "web0", WEB)):
            ip("-n", namespace, "address", "add", f"{address}/16", "dev", device)
            ip("-n", namespace, "link", "set", device, "up")
        made = Machine(tmp_path, pins, name)
        yield made
        made.run("detach")
        shutil.rmtree(made.pin_dir, ignore_errors=True)
    finally:
        for namespace in (name, f"{name}w"):
            ip("netns", "delete", namespace)


def test_the_life_of_a_policy(machine: Machine, pins: Path) -> None:
    first = machine.commit("the first")
    assert "is loaded" in machine.expect(0, "status")
    machine.expect(2, "plan", "-i", "db0", "--detailed-exitcode")
    assert not machine.pin_dir.exists()

    output = machine.expect(0, "apply", "-i", "db0")
    assert f"Generation 1 is in force: {first[:10]} (the first)" in output
    assert "attached  db0 (" in output
    assert "Nothing changes" in machine.expect(0, "plan", "--detailed-exitcode")
    assert [it["interface"] for it in machine.objects("status")["attached"]] == ["db0"]

    machine.write(ONE_MORE)
    second = machine.commit("one more")
    changed = machine.objects("plan")
    assert [rule["text"] for rule in changed["rules"]] == ["allow web -> db : tcp/9000"]
    machine.expect(2, "plan", "--detailed-exitcode")
    assert f"Generation 2 is in force: {second[:10]} (one more)" in machine.expect(0, "apply")
    machine.expect(0, "plan", "--detailed-exitcode")

    before = machine.dump()
    machine.write(BROKEN)
    done = machine.run("apply")
    assert done.returncode == 1
    assert "error[MS202]" in done.stderr
    assert f"generation 2 is in force, as before: {second[:10]} (one more)" in done.stderr
    assert machine.dump() == before

    assert "Generation 1 is in force again" in machine.expect(0, "rollback")
    after = machine.dump()
    assert (after["root"].generation, after["entries"]) == (1, before["entries"])
    machine.expect(3, "rollback")

    assert "Enforcement has ended" in machine.expect(0, "detach")
    assert pinned(pins) == []


def test_events_name_rule_line_and_commit_and_counters_count(machine: Machine) -> None:
    machine.write(SHOP.replace("deny  any -> db", "deny  any -> db log"))
    commit = machine.commit("the first")
    machine.expect(0, "apply", "-i", "db0")
    words = ("observe", "--count", "1", "--seconds", "20")
    for form in ("json", "text"):
        observer = subprocess.Popen(
            machine.command(*words, "--format", form),
            env=machine.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        machine.send(53)
        output, _ = observer.communicate(timeout=60)
        assert observer.returncode == 0
        if form == "text":
            assert f"udp {WEB}:" in output
            assert f"-> {DATABASE}:53" in output
            assert f"deny any -> db : any  (shop.mseg:5@{commit[:10]})" in output
            continue
        event = json.loads(output)
        assert (event["verdict"], event["interface"], event["direction"]) == ("deny", "db0", "ingress")
        assert event["dst"] == {"address": DATABASE, "port": 53}
        assert (event["rule"]["file"], event["rule"]["line"]) == ("shop.mseg", 5)
        assert event["revision"]["commit"] == commit

    observer = subprocess.Popen(
        machine.command("observe"), env=machine.environment(), stdout=subprocess.PIPE, text=True
    )
    assert observer.stdout is not None
    machine.send(53)
    assert f"{DATABASE}:53" in observer.stdout.readline()
    observer.send_signal(signal.SIGINT)
    observer.communicate(timeout=30)
    assert observer.returncode == 0

    counted = machine.objects("counters")
    packets = {rule["text"]: rule["packets"] for rule in counted["rules"]}
    assert packets["deny any -> db : any"] == 3
    assert packets["allow web -> db : tcp/5432"] == 0
    assert counted["outcomes"]["drop_denied"] == 3


@pytest.mark.parametrize(("adopt", "answer"), [("60", "2\n"), ("0", "")])
def test_a_connection_older_than_the_first_apply_goes_on_if_the_policy_allows_it(
    machine: Machine, adopt: str, answer: str
) -> None:
    machine.commit("allows it")
    listen = (
        f"import socket as s; l = s.create_server(('{DATABASE}', 5432)); print('up', flush=True); "
        "c = l.accept()[0]\nwhile d := c.recv(9): c.sendall(d)"
    )
    talk = (
        f"import socket as s, sys; c = s.create_connection(('{DATABASE}', 5432)); c.settimeout(3); "
        "c.sendall(b'1'); print(c.recv(1).decode(), flush=True); sys.stdin.readline(); "
        "c.sendall(b'2'); print(c.recv(1).decode(), flush=True)"
    )
    server = machine.start(machine.name, listen)
    client = machine.start(f"{machine.name}w", talk)
    with server, client:
        try:
            assert client.stdout
            assert client.stdout.readline() == "1\n"
            machine.expect(0, "apply", "-i", "db0", "--adopt", adopt)
            assert client.communicate("go on\n", timeout=10)[0] == answer
        finally:
            client.kill()
            server.kill()


def test_an_interface_that_does_not_exist_takes_everything_back(machine: Machine, pins: Path) -> None:
    done = machine.run("apply", "-i", "db0", "-i", "nowhere0")
    assert done.returncode == 4
    assert "nowhere0" in done.stderr
    assert "no policy is in force: everything passes" in done.stderr
    assert pinned(pins) == []

    machine.expect(0, "apply", "-i", "db0")
    machine.write(ONE_MORE)
    before = machine.dump()
    machine.expect(4, "apply", "-i", "nowhere0")
    assert machine.dump() == before


def test_attaching_detaching_and_another_hook(machine: Machine) -> None:
    machine.expect(0, "apply", "-i", "db0", "--hook", "clsact")
    ip("-n", machine.name, "link", "add", "more0", "type", "veth", "peer", "name", "more1")
    assert "Attached: more0 (clsact)" in machine.expect(0, "attach", "-i", "more0", "--hook", "clsact")
    machine.expect(0, "detach", "-i", "db0")
    assert machine.objects("status")["attached"] == [{"interface": "more0", "hook": "clsact"}]
    preferred = machine.objects("apply", "-i", "db0")["plan"]["attach"][0]["hook"]
    machine.expect(0, "apply", "-i", "more0", "--hook", preferred)
    assert [it["hook"] for it in machine.objects("status")["attached"]] == [preferred, preferred]
    machine.send(53)
    packets = {rule["text"]: rule["packets"] for rule in machine.objects("counters")["rules"]}
    assert packets["deny any -> db : any"] == 1, "judged once, not by both hooks"


def test_what_is_not_loaded_is_told(machine: Machine) -> None:
    for words in (["counters"], ["observe", "--seconds", "1"]):
        done = machine.run(*words)
        assert done.returncode == 4
        assert "nothing is loaded" in done.stderr
        assert "microseg apply" in done.stderr
    machine.expect(3, "rollback")
    machine.expect(0, "detach")
