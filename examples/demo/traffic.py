"""Real sockets: servers that answer, questions that are answered or not, transfers that go on and on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Self

from examples.demo.network import Family, Network, Node, inside

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 1.5
"""How long a question waits. A packet that is denied is never answered, so this is what a refusal takes."""
LOSS_S = 3.0
"""How long a transfer waits for an answer. A datagram that is lost costs as much, a busy machine doesn't."""
CHUNK = bytes(16 * 1024)
DATAGRAM = bytes(1024)
PAUSE_S = 0.002


class Transport(Enum):
    """The value is the word that the policy language has for it."""

    TCP = "tcp"
    UDP = "udp"

    @property
    def kind(self) -> socket.SocketKind:
        return socket.SOCK_STREAM if self is Transport.TCP else socket.SOCK_DGRAM


@dataclass(frozen=True)
class Flow:
    """Who speaks to whom, and how."""

    client: Node
    server: Node
    transport: Transport
    port: int
    family: Family

    def __str__(self) -> str:
        service = f"{self.transport.value}/{self.port}"
        return f"{self.client.name:>3} -> {self.server.name:<3}  {service:<8}  {self.family}"

    def is_told_in(self, line: str) -> bool:
        """Say whether the line has both ends of this flow in it."""
        ends = (self.client.address(self.family), self.server.address(self.family), str(self.port))
        return all(end in line for end in ends)


class Traffic:
    """Servers and transfers of one network. Use as a context manager: every socket is closed at its end."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def serve(self, server: Node, transport: Transport, port: int) -> None:
        """Echo on a port, for both families, until the end."""
        for family in Family:
            listener = self._socket(server, transport, family)
            if family is Family.IPV6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((server.address(family), port))
            if transport is Transport.TCP:
                listener.listen()
            start(accept if transport is Transport.TCP else echo_datagrams, listener)

    def is_answered(self, flow: Flow) -> bool:
        """Ask something on a new connection, and say whether the right answer comes."""
        question = f"anybody at {flow.port}?".encode()
        with self._socket(flow.client, flow.transport, flow.family) as client:
            client.settimeout(PATIENCE_S)
            try:
                client.connect((flow.server.address(flow.family), flow.port))
                client.sendall(question)
                return client.recv(len(question)) == question
            except OSError:
                return False

    def transfer(self, flow: Flow) -> Transfer:
        """Begin to send without end."""
        client = self._socket(flow.client, flow.transport, flow.family)
        client.settimeout(LOSS_S)
        client.connect((flow.server.address(flow.family), flow.port))
        transfer = Transfer(flow, client)
        start(transfer.run)
        return transfer

    def _socket(self, node: Node, transport: Transport, family: Family) -> socket.socket:
        with inside(self._network.namespace_of(node)):
            made = socket.socket(family.value, transport.kind)
        self._open.callback(made.close)
        return made


class Transfer:
    """Data that flows on one connection, each piece sent when the one before has come back."""

    def __init__(self, flow: Flow, client: socket.socket) -> None:
        self.flow = flow
        self.bytes_returned = 0
        self.longest_pause_s = 0.0
        self._last_return = time.monotonic()
        self._client = client

    def run(self) -> None:
        """Go on until the socket is closed. What isn't answered is waited for: no error ends it."""
        piece = CHUNK if self.flow.transport is Transport.TCP else DATAGRAM
        while self._client.fileno() >= 0:
            with contextlib.suppress(OSError):
                self._client.sendall(piece)
                self._receive(len(piece))
            time.sleep(PAUSE_S)

    def _receive(self, wanted: int) -> None:
        while wanted > 0:
            received = len(self._client.recv(wanted))
            if not received:
                raise ConnectionResetError
            wanted -= received
            self.bytes_returned += received
            now = time.monotonic()
            self.longest_pause_s = max(self.longest_pause_s, now - self._last_return)
            self._last_return = now


def start(work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def accept(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the listener is closed: the end
        while True:
            connection, _ = listener.accept()
            start(echo_stream, connection)


def echo_stream(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while received := connection.recv(65536):
            connection.sendall(received)


def echo_datagrams(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            received, sender = listener.recvfrom(65536)
            listener.sendto(received, sender)
