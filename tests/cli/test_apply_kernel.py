"""The command line on a real kernel."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from cli.machine import DATABASE, WEB, Machine, ip
from cli.terminal_session import BROKEN, ONE_MORE, SHOP
from kernel.borrowed import Lender

pytestmark = pytest.mark.kernel


def pinned(pins: Path) -> list[Path]:
    """Return what is pinned; the kernel itself keeps two files in every BPF file system."""
    return [path for path in pins.iterdir() if not path.name.endswith(".debug")]


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


@pytest.mark.usefixtures("loaded_machine")
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

    figures = machine.expect(0, "metrics")
    assert 'microseg_verdict_packets_total{action="deny",policy="shop"} 3.0' in figures
    assert 'microseg_dropped_packets_total{reason="denied"} 3.0' in figures
    assert 'microseg_sessions{family="ipv4",state="established"} 0.0' in figures
    assert "microseg_kernel_readable 1.0" in figures

    counted = machine.objects("counters")
    packets = {rule["text"]: rule["packets"] for rule in counted["rules"]}
    assert packets["deny any -> db : any"] == 3
    assert packets["allow web -> db : tcp/5432"] == 0
    assert counted["outcomes"]["drop_denied"] == 3


@pytest.mark.usefixtures("loaded_machine")
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


def test_an_interface_that_does_not_exist_takes_everything_back(
    machine: Machine, pins: Path, lender: Lender
) -> None:
    done = machine.run("apply", "-i", "db0", "-i", "nowhere0")
    assert done.returncode == 4
    assert "nowhere0" in done.stderr
    assert "no policy is in force: everything passes" in done.stderr
    assert pinned(pins) == []

    lender.lend(machine.pin_dir)
    machine.expect(0, "apply", "-i", "db0")
    machine.write(ONE_MORE)
    before = machine.dump()
    machine.expect(4, "apply", "-i", "nowhere0")
    assert machine.dump() == before


@pytest.mark.usefixtures("loaded_machine")
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
