"""microseg bench as somebody types it who has never applied anything, and under traffic."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path
from threading import Event, Thread
from typing import Any

import jsonschema
import pytest
from cli.machine import DATABASE, PROGRAM, Machine
from cli.terminal_session import BROKEN, Session
from tree import ROOT

SCHEMA = json.loads((ROOT / "docs" / "schemas" / "microseg-bench-1.schema.json").read_text())
HASTE = ("--duration", "0.4", "--interval", "0.2")
ROW = re.compile(r" +[\d.]+ s ")
FROM_ELSEWHERE = re.compile(r"<script|<link|<img|@import|url\(|(?:src|href)=", re.IGNORECASE)


class Tags(HTMLParser):
    """What an HTML page consists of, and that every element is closed."""

    EMPTY = frozenset({"meta", "br", "rect", "line", "circle", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        del attrs
        self.seen.append(tag)
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        del attrs
        self.seen.append(tag)


def whole_page(path: Path) -> Tags:
    """Read a page, which must load nothing."""
    text = path.read_text()
    assert not FROM_ELSEWHERE.search(text)
    assert set(re.findall(r"https?://[^\"]*", text)) <= {"http://www.w3.org/2000/svg"}
    tags = Tags(text)
    assert tags.open == []
    return tags


def await_a_row(measuring: subprocess.Popen[str]) -> None:
    assert measuring.stdout
    assert any(ROW.match(line) for line in iter(measuring.stdout.readline, "")), "it ended before"


@pytest.fixture
def stranger(tmp_path: Path) -> Session:
    """An instance that has never been applied."""
    made = Session(tmp_path)
    with made.settings.open("a") as settings:
        settings.write(f'pin_dir = "/sys/fs/bpf/microseg-none-{tmp_path.name}"\n')
    return made


def test_an_interface_without_a_filter(stranger: Session) -> None:
    text = stranger.expect(0, "bench", "--iface", "lo", *HASTE)
    head = next(line for line in text.splitlines() if "pps" in line)
    assert "ns/pkt" not in head
    rows = [line for line in text.splitlines() if ROW.match(line)]
    assert len(rows) == 2
    assert "none of ours on lo" in text
    assert "microseg apply --interface lo" in text
    assert "lo, 0.4" in text


def test_json_keeps_to_its_schema(stranger: Session) -> None:
    found = stranger.objects("bench", "--iface", "lo", *HASTE)
    jsonschema.validate(found, SCHEMA)
    assert [sample["filter"] for sample in found["samples"]] == [None, None]
    assert found["summary"]["seconds"] == pytest.approx(0.4, abs=0.2)


def test_packets_of_the_interface_are_counted(stranger: Session) -> None:
    ended = Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not ended.wait(0.001):
                sender.sendto(b"x", ("127.0.0.1", 9))

    sending = Thread(target=send)
    sending.start()
    try:
        found = stranger.objects("bench", "--iface", "lo", *HASTE)
    finally:
        ended.set()
        sending.join()
    assert found["summary"]["in"]["packets_per_s"] > 20


def test_a_page_is_whole_in_itself(stranger: Session) -> None:
    page = stranger.folder / "bench.html"
    assert f"Written: {page}" in stranger.expect(0, "bench", "--iface", "lo", *HASTE, "--html", str(page))
    tags = whole_page(page)
    assert tags.seen.count("svg") == 3


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--iface", "nope0"], 4, "there is no interface nope0"),
        (["--iface", "lo", "--duration", "long"], 64, "'long' is no time from 0.1s to 168h"),
        (["--iface", "lo", "--interval", "0.01"], 64, "'0.01' is no time"),
        (["--iface", "lo", "--html", "/proc/nowhere/x.html", *HASTE], 4, "/proc/nowhere/x.html"),
        (["--iface", "nope0", "--traffic", "ping"], 64, "--traffic goes between interfaces made for it"),
        (
            ["--iface", "lo", "--debug-program"],
            64,
            "--debug-program is about a filter made for the measurement",
        ),
        (["--traffic", "http", "--rate", "9"], 64, "--traffic http sends as much as goes"),
        (["--traffic", "ping", "--flows", "9"], 64, "--flows is for --traffic generator and iperf3"),
        (["--traffic", "iperf3", "--flows", "129"], 64, "iperf3 has 128 connections at most"),
        (["--iface", "lo", "--traffic", "denied"], 64, "lo takes no traffic of the denied kind"),
        (["--policy", "/proc/nowhere"], 64, "/proc/nowhere"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(stranger: Session, words: list[str], code: int, said: str) -> None:
    done = stranger.type("bench", *words)
    assert done.exit_code == code, done.output
    assert said in done.stderr


def test_a_missing_program_and_a_wrong_policy(stranger: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger.write(BROKEN)
    done = stranger.type("bench", "--policy", str(stranger.policies))
    assert done.exit_code == 1
    assert "MS202" in done.stderr
    monkeypatch.setenv("PATH", "/nowhere")
    done = stranger.type("bench", "--traffic", "hping3")
    assert done.exit_code == 4
    assert "there is no hping3 on this host" in done.stderr
    assert "apt-get install hping3" in done.stderr


def test_traffic_of_lo(stranger: Session) -> None:
    text = stranger.expect(0, "bench", "--iface", "lo", "--traffic", "http", *HASTE)
    assert re.search(r"\n  traffic +http: [\d.,]+k? requests/s, each on a connection of its own", text)


def test_an_interrupt_ends_it_with_what_there_is(stranger: Session) -> None:
    words = [
        "bench",
        "--config",
        str(stranger.settings),
        "--iface",
        "lo",
        "--duration",
        "60",
        "--interval",
        "0.2",
    ]
    started = subprocess.Popen([PROGRAM, *words], stdout=subprocess.PIPE, text=True)
    await_a_row(started)
    started.send_signal(signal.SIGTERM)
    started.send_signal(signal.SIGINT)
    rest, _ = started.communicate(timeout=30)
    assert started.returncode == 0
    assert "interrupted:" in rest


def test_traffic_ends_with_a_killed_measurement(stranger: Session) -> None:
    traffic = ["--iface", "lo", "--traffic", "ping", "--rate", "100", "--duration", "60", "--interval", "0.2"]
    words = [str(PROGRAM), "bench", "--config", str(stranger.settings), *traffic]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as killed:
        await_a_row(killed)
        (child,) = Path(f"/proc/{killed.pid}/task/{killed.pid}/children").read_text().split()
        killed.kill()
    until = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.kernel
@pytest.mark.compiles
def test_a_network_of_its_own(stranger: Session) -> None:
    traffic = ["--rate", "2000", "--flows", "5", "--duration", "0.6", "--interval", "0.2"]
    own = ["--policy", str(stranger.policies), "--html", str(stranger.folder / "bench.html")]
    if perf := shutil.which("perf"):
        own += ["--flamegraph", str(stranger.folder / "flames.svg")]
    words = [str(PROGRAM), "bench", "--config", str(stranger.settings), *traffic, *own, "--format", "json"]
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    jsonschema.validate(found, SCHEMA)
    assert found["traffic"] == "generator, 5 connections, 2,000 packets/s"
    assert "packets sent" in found["remarks"][0]
    assert found["sessions"]["after"] == 5
    mine = found["summary"]["filter"]
    assert 100 < mine["packets_per_s"] < 3000, "fewer on a busy machine"
    assert mine["hit_rate"] > 0.99
    assert mine["ns_per_packet_in"] > 10
    assert whole_page(stranger.folder / "bench.html").seen.count("svg") == 6
    assert not perf or "microseg bench, generator" in (stranger.folder / "flames.svg").read_text()


@pytest.mark.kernel
@pytest.mark.usefixtures("loaded_machine")
def test_under_a_filter(machine: Machine) -> None:
    machine.write("policy p priority 1 { allow any -> any : icmp }\ndefault deny\n")
    machine.expect(0, "apply", "-i", "db0")
    ping = ["ping", "-q", "-i", "0.005", "-w", "60", DATABASE]
    with subprocess.Popen(["nsenter", f"--net=/run/netns/{machine.name}w", *ping]) as pinging:
        try:
            page = machine.folder / "bench.html"
            text = machine.expect(0, "bench", "--iface", "db0", *HASTE, "--html", str(page))
            machine.send(9)
            found = machine.objects("bench", "--iface", "db0", *HASTE)
            elsewhere = machine.expect(0, "bench", "--iface", "lo", *HASTE)
        finally:
            pinging.terminate()
    assert "microseg attach --interface lo" in elsewhere
    assert re.search(r"ns/pkt +Hits", text)
    assert re.search(r"\n  cost +0\.\d+% of one CPU", text)
    assert whole_page(page).seen.count("svg") == 6
    jsonschema.validate(found, SCHEMA)
    mine = found["summary"]["filter"]
    assert mine["hit_rate"] > 0.9
    assert mine["packets_per_s"] == pytest.approx(2 * found["summary"]["in"]["packets_per_s"], rel=0.5)
    assert mine["ns_per_packet_in"] > 10
    assert mine["ns_per_packet_out"] > 10
    assert found["sessions"]["after"] == 1
    status = machine.objects("status")
    assert sum(status["packets_by_cpu"]) > 0
    assert status["ns_per_packet"] > 10, "timed while it was measured"
    assert re.search(
        r"load +\d CPUs?, the busiest has \d+% of the packets; \d+ ns each", machine.expect(0, "status")
    )
