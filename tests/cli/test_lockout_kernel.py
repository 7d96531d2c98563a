"""An apply typed over a connection that its policy would cut, on a real kernel."""

from __future__ import annotations

import json
import subprocess

import pytest
from cli.machine import DATABASE, PROGRAM, WEB, Machine
from kernel.borrowed import Lender

pytestmark = pytest.mark.kernel

LOGIN = f"""
import json, socket, subprocess, sys
server = socket.create_server(("{DATABASE}", 22))
print("up", flush=True)
connection, client = server.accept()
for line in sys.stdin:
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    print(json.dumps([client[1], done.returncode, done.stdout, done.stderr]), flush=True)
"""
"""What sshd does: it accepts a connection, and commands are its children; like sudo, it sets no variable."""

CLIENT = f"import socket, sys; c = socket.create_connection(('{DATABASE}', 22)); sys.stdin.readline()"


def type_at(login: subprocess.Popen[str], *words: str) -> tuple[int, int, str, str]:
    """Type a command in the session; return the client's port, the exit code and what was printed."""
    assert login.stdin
    assert login.stdout
    login.stdin.write(" ".join([str(PROGRAM), *words]) + "; exit $?\n")
    login.stdin.flush()
    port, code, output, errors = json.loads(login.stdout.readline())
    return port, code, output, errors


def test_locking_oneself_out_is_refused_and_can_be_insisted_on(
    machine: Machine, lender: Lender, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.commit("only the database's port")
    monkeypatch.setenv("MICROSEG_CONFIG", str(machine.settings))
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    login = machine.start(machine.name, LOGIN)
    client = machine.start(f"{machine.name}w", CLIENT)
    with login, client:
        try:
            port, code, _, errors = type_at(login, "apply", "-i", "db0")
            assert code == 3
            assert f"the connection of this session ({WEB} -> {DATABASE} : tcp/22 from {port})" in errors
            assert "gets deny by `deny any -> db : any` at shop.mseg:5; nothing was changed" in errors
            assert "--allow-lockout" in errors
            assert not machine.pin_dir.exists()

            lender.lend(machine.pin_dir)
            _, code, output, errors = type_at(login, "apply", "-i", "db0", "--allow-lockout")
            assert code == 0, errors
            assert "Generation 1 is in force" in output
        finally:
            for process in (client, login):
                process.kill()


def test_nobody_is_locked_out_from_another_network(machine: Machine) -> None:
    environment = machine.environment() | {"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}
    done = subprocess.run(
        [*machine.command("plan", "-i", "db0"), "--format", "json"],
        env=environment, capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert "lock you out" not in done.stdout
