"""TCP over the cable, by iperf3, in turns: client and server stay on a processor each where there are two."""

from __future__ import annotations

import json
import os
import subprocess
import time

from bench.side.arena import Arena, Entry, say
from bench.side.lab import Namespace

PORT = 5201
SECONDS = 1
ROUNDS = 11
_LISTENING = f":{PORT} "
_PATIENCE_S = 5.0


def throughput(arena: Arena) -> dict[str, list[float]]:
    """Return the Gbit/s of each contestant, round by round."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    found: dict[str, list[float]] = {entry.name: [] for entry in arena.entries}
    for number in range(-1, ROUNDS):
        for entry in arena.entries:
            speed = _once(arena.sender, entry)
            if number >= 0:
                found[entry.name].append(speed)
    return found


def _once(sender: Namespace, entry: Entry) -> float:
    inside = entry.receiver.inside
    with inside.entered():
        server = subprocess.Popen(
            ["iperf3", "--server", "--one-off", "--port", str(PORT), *_staying(0)], stdout=subprocess.DEVNULL
        )
    try:
        _await_listener(inside)
        words = (
            "iperf3",
            "--client",
            entry.receiver.address,
            "--time",
            str(SECONDS),
            "--json",
            *_staying(-1),
        )
        said = json.loads(sender.run(*words, timeout_s=SECONDS + _PATIENCE_S))
        server.wait(_PATIENCE_S)
    finally:
        server.kill()
        server.wait()
    return float(said["end"]["sum_received"]["bits_per_second"]) / 1e9


def _staying(number: int) -> tuple[str, ...]:
    """Say on which of its processors iperf3 stays."""
    processors = sorted(os.sched_getaffinity(0))
    return ("--affinity", str(processors[number])) if len(processors) > 1 else ()


def _await_listener(inside: Namespace) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if _LISTENING in inside.run("ss", "--tcp", "--listening", "--numeric", "--no-header"):
            return
        time.sleep(0.02)
    say("iperf3 doesn't listen")
