"""HTTP to measure with: `python -m microseg.bench.http_traffic serve|ask ADDRESS PORT SECONDS`.

Each request has a connection of its own. `ask` prints what it saw as JSON when its time is over or somebody
interrupts.
"""

from __future__ import annotations

import http.client
import json
import signal
import sys
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import quantiles

_BODY = b"x" * 1024
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client saw: requests that were answered, those that weren't, and what an answer took."""

    answered: int
    failed: int
    seconds: float
    median_ms: float
    p99_ms: float


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(_BODY)))
        self.end_headers()
        self.wfile.write(_BODY)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Be quiet."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def serve(address: str, port: int) -> None:
    """Answer requests until the process is ended."""
    _Server((address, port), _Answer).serve_forever()


def ask(address: str, port: int, seconds: float) -> Asked:
    """Ask one request after the other."""
    took_ms: list[float] = []
    failed, began = 0, time.monotonic()
    try:
        while (asked_at := time.monotonic()) < began + seconds:
            if _is_answered(address, port):
                took_ms.append(1000 * (time.monotonic() - asked_at))
            else:
                failed += 1
    except KeyboardInterrupt:
        pass
    steps = quantiles(took_ms, n=100) if len(took_ms) > 1 else [0.0] * 99
    return Asked(len(took_ms), failed, time.monotonic() - began, steps[49], steps[98])


def _is_answered(address: str, port: int) -> bool:
    connection = http.client.HTTPConnection(address, port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/")
        return len(connection.getresponse().read()) == len(_BODY)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _, what, host, number, limit_s = sys.argv
    if what == "serve":
        serve(host, int(number))
    else:
        print(json.dumps(asdict(ask(host, int(number), float(limit_s)))))  # noqa: T201  read by who started it
