"""Traffic that tells two policies apart, and every mixture of them: both directions, both families.

`kept` packets are allowed by both policies, so that not one may be lost. Markers are denied by both, each for
another reason, and would be allowed by entries of one together with entries of the other: not one may arrive.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

from kernel.laboratory import run
from kernel.live_network import TwoHosts

KEPT, BY_ADDRESS, BY_SERVICE = 7000, 7100, (7002, 7004)
MARKED = (BY_ADDRESS, *BY_SERVICE)
KEPT_IN_BURST = 4
"""Kept packets when each sender sends one: both families, both directions."""
PAUSE_S = 0.0005
SO_RCVBUFFORCE = 33

FAMILIES = {socket.AF_INET: "10.77.0.{}", socket.AF_INET6: "fd77::{}"}
NEAR, FAR = 1, 2
"""The hosts, by the last number of their addresses."""
FIRST_MARKER, SECOND_MARKER = 10, 20
"""What is added to it for the sources of markers."""

_COMMON = """
group kept = 10.77.0.1, 10.77.0.2, fd77::1, fd77::2
group {name} = 10.77.0.{a}, 10.77.0.{b}, fd77::{a}, fd77::{b}
group {other} = 10.77.0.99, fd77::99
policy mix {{
  allow kept -> kept : udp/7000
  {first} first -> kept : udp/7100
  {second} second -> kept : udp/7100
  {first} kept -> kept : alpha
  {second} kept -> kept : beta
}}
service alpha = udp/{alpha}
service beta = udp/{beta}
"""
A = _COMMON.format(
    name="second", other="first", a=21, b=22, first="allow", second="deny", alpha=7001, beta=7004
)
"""Allows `first`, which has none of the senders in it, and denies `second`, which has."""
B = _COMMON.format(
    name="first", other="second", a=11, b=12, first="deny", second="allow", alpha=7002, beta=7003
)
"""The reverse."""


@contextmanager
def addresses_of_markers(hosts: TwoHosts) -> Iterator[None]:
    """Give both hosts the addresses that markers come from."""
    for number, device, where in (
        (NEAR, hosts.near.device, ()),
        (FAR, hosts.far.device, ("-n", hosts.far.namespace)),
    ):
        for extra in (FIRST_MARKER, SECOND_MARKER):
            for family, text in FAMILIES.items():
                width = "/24" if family == socket.AF_INET else "/64"
                nodad = () if family == socket.AF_INET else ("nodad",)
                address = text.format(number + extra) + width
                run("ip", where, "address", "add", address, "dev", device, nodad)
    yield


@dataclass
class Sender:
    """A process that sends on one CPU, all kinds of packets from both hosts, until it is stopped."""

    hosts: TwoHosts
    cpu: int
    _pid: int = 0
    _answer: int = -1

    def __enter__(self) -> Self:
        self._answer, answer = os.pipe()
        with ExitStack() as stack:
            sockets = all_senders(self.hosts, stack)
            self._pid = os.fork()
            if not self._pid:
                with suppress(BaseException):
                    os.write(answer, struct.pack("=Q", _send_until_told(sockets, self.cpu)))
                os._exit(0)
        os.close(answer)
        return self

    def stop(self) -> int:
        """End it, and return how many packets it has sent of the kind that is kept."""
        os.kill(self._pid, signal.SIGTERM)
        (sent,) = struct.unpack("=Q", os.read(self._answer, 8))
        return int(sent)

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._answer)


def all_senders(hosts: TwoHosts, stack: ExitStack) -> list[tuple[socket.socket, bool]]:
    """Return connected sockets of both hosts, with whether they send what is kept."""
    made = _senders(NEAR, FAR, stack)
    with hosts.at_far():
        return made + _senders(FAR, NEAR, stack)


def _senders(src: int, dst: int, stack: ExitStack) -> list[tuple[socket.socket, bool]]:
    """Return those of the current namespace."""
    made = []
    for family, text in FAMILIES.items():
        kinds = [(src, KEPT), (src + FIRST_MARKER, BY_ADDRESS), (src + SECOND_MARKER, BY_ADDRESS)]
        kinds += [(src, port) for port in BY_SERVICE]
        for number, port in kinds:
            sender = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            sender.bind((text.format(number), 0))
            sender.connect((text.format(dst), port))
            made.append((sender, port == KEPT))
    return made


def _send_until_told(sockets: list[tuple[socket.socket, bool]], cpu: int) -> int:
    """Send bursts, and return how many packets were of the kind that is kept."""
    os.sched_setaffinity(0, {cpu})
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    sent = 0
    while not told:
        for sender, kept in sockets:
            with suppress(ConnectionRefusedError, PermissionError):
                sender.send(b"x")
            sent += kept
        time.sleep(PAUSE_S)
    return sent


@dataclass
class Receiver:
    """Both hosts' receiving ends; a thread is not needed, their buffers hold seconds of traffic."""

    hosts: TwoHosts
    kept: int = 0
    markers: list[str] = field(default_factory=list)
    _kept: list[socket.socket] = field(default_factory=list)
    _marked: list[socket.socket] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        self._bind()
        with self.hosts.at_far():
            self._bind()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _bind(self) -> None:
        for port in (KEPT, *MARKED):
            end = self._stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            end.bind(("::", port))
            end.settimeout(0)
            (self._kept if port == KEPT else self._marked).append(end)

    def drain(self) -> None:
        """Count what has arrived."""
        for end in self._kept:
            with suppress(BlockingIOError):
                while end.recv(8):
                    self.kept += 1
        for end in self._marked:
            with suppress(BlockingIOError):
                while True:
                    _, where = end.recvfrom(8)
                    self.markers.append(f"{where[0]} -> port {end.getsockname()[1]}")
