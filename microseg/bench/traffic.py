"""Traffic made by programs of others, and what they say of it."""

from __future__ import annotations

import json
import math
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from microseg.bench.scales import short
from microseg.reconcile.dataplane import KernelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    Where = Callable[[], AbstractContextManager[None]]

_PATIENCE_S = 10.0
_LEAD_S = 1
"""Programs run a little longer than it is measured."""
_LISTENING = "0A"
"""The state in /proc/net/tcp."""
ENDING_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""What is put before a command for it to end with us, however we end."""
_RTT = re.compile(r"(\d+) packets transmitted, (\d+) received.*?= ([\d.]+)/([\d.]+)/([\d.]+)/", re.DOTALL)


class Tool(Enum):
    """Programs that make traffic; the value is the word of the command line."""

    IPERF3 = "iperf3"
    HTTP = "http"
    PING = "ping"
    HPING3 = "hping3"

    @property
    def program(self) -> str:
        """What has to be installed; empty: nothing."""
        return "" if self is Tool.HTTP else self.value

    @property
    def takes_rate(self) -> bool:
        """Whether it can send so many packets a second."""
        return self in (Tool.PING, Tool.HPING3)


class ToolMissingError(KernelError):
    """A program that makes traffic isn't installed."""


@dataclass(frozen=True, slots=True)
class Route:
    """From a client to a server: where processes of each are started, and the server's address."""

    at_client: Where
    at_server: Where
    address: str


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: for how long, how many connections, and packets a second (None: as many as go)."""

    seconds: float
    flows: int = 1
    rate: int | None = None


def require(tool: Tool) -> None:
    """Raise ToolMissingError unless a tool is there."""
    if tool.program and not shutil.which(tool.program):
        package = "iputils-ping" if tool is Tool.PING else tool.program
        raise ToolMissingError(
            f"there is no {tool.program} on this host",
            advice=f"apt-get install {package}, or other --traffic",
        )


@contextmanager
def running(tool: Tool, order: Order, route: Route) -> Iterator[Callable[[], tuple[str, ...]]]:
    """Make traffic meanwhile. What is given ends it, and returns what the client says of it, in words."""
    require(tool)
    with ExitStack() as started:
        port = _free_port(route)
        if server := _server_words(tool, route, port):
            started.enter_context(_process(server, route.at_server))
            _await_listener(route, port)
        client = started.enter_context(_process(_client_words(tool, order, route, port), route.at_client))

        def end() -> tuple[str, ...]:
            if tool is not Tool.IPERF3:  # which says nothing when interrupted
                client.send_signal(signal.SIGINT)
            said, _ = client.communicate(timeout=_PATIENCE_S + order.seconds)
            words = told_by(tool, said)
            return (f"{tool.value}: {words}",) if words else ()

        yield end


def told_by(tool: Tool, said: str) -> str:
    """Return in words what a client printed; empty when it says nothing of use."""
    match tool:
        case Tool.IPERF3:
            return _told_by_iperf3(said)
        case Tool.HTTP:
            return _told_by_http(said)
        case Tool.PING:
            found = _RTT.search(said)
            if not found:
                return ""
            sent, received, *times = found.groups()
            took = "in {} ms at least, {} on average, {} at most".format(*times)
            return f"{int(received):,} of {int(sent):,} answered, {took}"
        case Tool.HPING3:
            return ""
        case _:
            assert_never(tool)


def _told_by_iperf3(said: str) -> str:
    try:
        report = json.loads(said)
    except ValueError:
        return ""
    if "error" in report:
        return str(report["error"])
    sent, received = report["end"]["sum_sent"], report["end"]["sum_received"]
    again = f", {sent['retransmits']:,} segments sent again" if "retransmits" in sent else ""
    return f"{short(received['bits_per_second'] / 1e9)} Gbit/s arrived{again}"


def _told_by_http(said: str) -> str:
    if not said:
        return ""
    asked = json.loads(said)
    failed = f", {asked['failed']:,} failed" if asked["failed"] else ""
    rate = short(asked["answered"] / asked["seconds"])
    times = f"{asked['median_ms']:.2f} ms at the median, {asked['p99_ms']:.2f} ms at 99%"
    return f"{rate} requests/s, each on a connection of its own, {times}{failed}"


def _server_words(tool: Tool, route: Route, port: int) -> list[str]:
    match tool:
        case Tool.IPERF3:
            return ["iperf3", "--server", "--one-off", "--bind", route.address, "--port", str(port)]
        case Tool.HTTP:
            return _http("serve", route, port, math.inf)
        case Tool.PING | Tool.HPING3:
            return []
        case _:
            assert_never(tool)


def _client_words(tool: Tool, order: Order, route: Route, port: int) -> list[str]:
    seconds = math.ceil(order.seconds) + _LEAD_S
    match tool:
        case Tool.IPERF3:
            where = ["--client", route.address, "--port", str(port), "--time", str(seconds)]
            return ["iperf3", *where, "--parallel", str(order.flows), "--json"]
        case Tool.HTTP:
            return _http("ask", route, port, seconds)
        case Tool.PING:
            pace = ["-i", f"{1 / order.rate:.6f}"] if order.rate else ["-f"]
            return ["ping", "-q", "-n", *pace, "-w", str(seconds), route.address]
        case Tool.HPING3:
            pace = ["-i", f"u{max(1, round(1e6 / order.rate))}"] if order.rate else ["--flood"]
            return ["hping3", "-q", "-n", "--syn", "-p", str(port), *pace, route.address]
        case _:
            assert_never(tool)


def _http(what: str, route: Route, port: int, seconds: float) -> list[str]:
    module = "microseg.bench.http_traffic"
    return [sys.executable, "-m", module, what, route.address, str(port), str(seconds)]


@contextmanager
def _process(words: list[str], where: Where) -> Iterator[subprocess.Popen[str]]:
    """Start a process that no interrupt of ours reaches, and end it afterwards."""
    with where():
        process = subprocess.Popen(  # noqa: S603  # our own words
            [*ENDING_WITH_US, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True,
        )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def _free_port(route: Route) -> int:
    with route.at_server(), socket.socket() as found:
        found.bind((route.address, 0))
        return int(found.getsockname()[1])


def _await_listener(route: Route, port: int) -> None:
    """Wait until somebody listens; a connection to try it would be taken for a client's."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        with route.at_server():
            table = Path("/proc/thread-self/net/tcp").read_text(encoding="ascii")
        rows = [line.split() for line in table.splitlines()[1:]]
        if any(row[1].endswith(f":{port:04X}") and row[3] == _LISTENING for row in rows):
            return
        time.sleep(0.01)
    raise KernelError("the server of the traffic did not come up", advice="other --traffic")
