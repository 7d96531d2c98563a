"""Traffic of the packet generator: from many sources on the far host to a socket of the near one."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import Enum
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from microseg.bench.frames import Template
from microseg.bench.generator import STRIDE, Flows, generator
from microseg.bench.own_filter import DENIED_PORT
from microseg.bench.own_network import FAR, NEAR
from microseg.bench.scales import short
from microseg.kernel.errors import CallError
from microseg.kernel.interfaces import interface_index
from microseg.reconcile.dataplane import KernelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from microseg.bench.generator import Generator
    from microseg.bench.own_network import OwnNetwork
    from microseg.bench.traffic import Order

_PORT = 7
_FIRST = IPv4Address(int(IPv4Address(FAR.address)) + 255)
_HOSTS = {True: 1024, False: 32_768}
"""Addresses the sources have: of flows that take turns, and of flows of one packet each."""
_GREETING = 1024
"""Packets sent at once while the flows are made, when each is answered."""
_FIRST_PORTION, _PORTION_NS = 20_000, 250_000_000
"""Packets sent at once at first, and how long later portions take: the kernel waits for all processors before
each of them."""
_PAUSE_S = 0.002
_PATIENCE_S = 0.2
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_BUFFER = 16 << 20
"""Bytes for what waits to be answered: a frame of XDP takes a page each."""
_RETURN_0 = struct.pack("=HBBI", 0x06, 0, 0, 0)
"""Of classic BPF: `ret #0`."""


class Stream(Enum):
    """What the generator sends; the value is the word of the command line."""

    ESTABLISHED = "generator"
    """Packets of flows that were answered, in turn."""
    NEW = "new-flows"
    """Each packet opens another flow."""
    DENIED = "denied"
    """Packets that a rule denies."""


@contextmanager
def sending(stream: Stream, order: Order, network: OwnNetwork) -> Iterator[Callable[[], tuple[str, ...]]]:
    """Send meanwhile. What is given ends it, and returns in words what was sent."""
    with ExitStack() as stack:
        generating = stack.enter_context(generator(network.pin_dir.parent / "generator"))
        sink = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sink.bind((NEAR.address, _PORT))
        sink.settimeout(_PATIENCE_S)
        sink.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        sender = _Sender(stream, order, network, generating, sink)
        stack.callback(sender.end)
        sender.begin()
        yield sender.end


class _Sender:
    """A thread on the far host that sends until it is told to end."""

    def __init__(
        self, stream: Stream, order: Order, network: OwnNetwork, generating: Generator, sink: socket.socket
    ) -> None:
        self._stream = stream
        self._rate = order.rate
        self._network = network
        self._generator = generating
        self._sink = sink
        new = stream is Stream.NEW
        hosts = 1 if order.flows == 1 and not new else _HOSTS[not new]
        self._flows = Flows(0 if new else _all_in_turn(order.flows), hosts)
        port = DENIED_PORT if stream is Stream.DENIED else _PORT
        self._template = Template(NEAR.mac, _FIRST, IPv4Address(NEAR.address), port)
        self._sent = 0
        self._busy_ns = 0
        self._began = threading.Event()
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        """Start, and wait until the flows are there; raises KernelError."""
        self._thread.start()
        self._began.wait()
        if isinstance(self._error, CallError):
            raise KernelError(
                f"{self._error.message}; the generator needs Linux 5.18",
                advice="--traffic ping, http or iperf3",
            ) from self._error
        if self._error:
            raise self._error

    def end(self) -> tuple[str, ...]:
        """Stop; returns what was sent, in words."""
        self._ended.set()
        self._thread.join()
        if self._error:
            return (f"the generator failed: {self._error}",)
        if not self._sent:
            return ()
        each = short(self._busy_ns / self._sent)
        return (f"{self._sent:,} packets sent, {each} ns each until they were received or dropped",)

    def _run(self) -> None:
        try:
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # who sends a packet receives it too
            with self._network.at_far():
                if self._stream is Stream.ESTABLISHED:
                    self._greet()
                self._aim()
                _take_nothing(self._sink)
                self._began.set()
                self._send_on()
        except BaseException as error:  # noqa: BLE001  it is raised in begin()
            self._error = error
        finally:
            self._began.set()

    def _greet(self) -> None:
        """Have each flow speak, be answered and speak again, so that both sides are known to be there."""
        left, turn = self._flows.count, 0
        while left > 0 and not self._ended.is_set():
            portion = min(left, _GREETING)
            for answered in (True, False):
                self._aim(turn)
                self._generator.send(self._template.frame, portion)
                self._receive(portion, answered=answered)
            turn = self._generator.turn()
            left -= portion

    def _receive(self, packets: int, *, answered: bool) -> None:
        for _ in range(packets):
            try:
                _, source = self._sink.recvfrom(64)
            except TimeoutError:
                return
            if answered:
                self._sink.sendto(b"", source)

    def _aim(self, turn: int = 0) -> None:
        """Begin behind this flow."""
        flows = replace(self._flows, start=turn)
        self._generator.aim(self._template, flows, interface_index(FAR.device))

    def _send_on(self) -> None:
        began, due = time.monotonic(), _FIRST_PORTION
        while not self._ended.is_set():
            if self._rate:
                due = round(self._rate * (time.monotonic() - began)) - self._sent
                time.sleep(_PAUSE_S)
            if due > 0:
                each_ns = self._generator.send(self._template.frame, due)
                self._busy_ns += due * each_ns
                self._sent += due
                due = _PORTION_NS // max(each_ns, 1)


def _all_in_turn(flows: int) -> int:
    """Return a number of flows of which the generator leaves none out."""
    return flows if flows % STRIDE else flows + 1


def _take_nothing(sink: socket.socket) -> None:
    """Let a socket drop every packet, so that only what is before it costs time."""
    code = ctypes.create_string_buffer(_RETURN_0, len(_RETURN_0))
    program = struct.pack("@HP", 1, ctypes.addressof(code))
    sink.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
