"""TCP over the cable, by iperf3, in turns."""

from __future__ import annotations

import json
import os
import subprocess
import time
from statistics import median

from bench.side.arena import Arena, Entry, say
from bench.side.lab import Namespace

PORT = 5201
SECONDS = 1
ROUNDS = 5
_LISTENING = f":{PORT} "
_PATIENCE_S = 5.0


def throughput(arena: Arena) -> dict[str, float]:
    """Return the median Gbit/s of each contestant."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    found: dict[str, list[float]] = {entry.name: [] for entry in arena.entries}
    for number in range(-1, ROUNDS):
        for entry in arena.entries:
            speed = _once(arena.sender, entry)
            if number >= 0:
                found[entry.name].append(speed)
    return {name: median(speeds) for name, speeds in found.items()}


def _once(sender: Namespace, entry: Entry) -> float:
    inside = entry.receiver.inside
    with inside.entered():
        server = subprocess.Popen(
            ["iperf3", "--server", "--one-off", "--port", str(PORT)], stdout=subprocess.DEVNULL
        )
    try:
        _await_listener(inside)
        words = ("iperf3", "--client", entry.receiver.address, "--time", str(SECONDS), "--json")
        said = json.loads(sender.run(*words, timeout_s=SECONDS + _PATIENCE_S))
        server.wait(_PATIENCE_S)
    finally:
        server.kill()
        server.wait()
    return float(said["end"]["sum_received"]["bits_per_second"]) / 1e9


def _await_listener(inside: Namespace) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if _LISTENING in inside.run("ss", "--tcp", "--listening", "--numeric", "--no-header"):
            return
        time.sleep(0.02)
    say("iperf3 doesn't listen")
