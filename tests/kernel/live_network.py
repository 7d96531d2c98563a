"""Two hosts on a wire: this one, under the filter, and another in a network namespace of its own.

Sockets of both hosts belong to this process: a socket stays in the namespace it was made in, so one thread
can hold both ends of a connection.
"""

from __future__ import annotations

import ctypes
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from kernel.laboratory import run

CLONE_NEWNET = 0x40000000
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Host:
    """A host's end of the wire."""

    namespace: str
    device: str
    address: str
    address6: str
    mac: str


NEAR = Host("", "near0", "10.77.0.1", "fd77::1", "02:00:00:00:77:01")


@dataclass(frozen=True, slots=True)
class Connection:
    """Both ends of a TCP connection."""

    client: socket.socket
    server: socket.socket

    def echo(self, payload: bytes) -> None:
        """Send a payload and have it come back; raises OSError or AssertionError when it doesn't."""
        self.client.sendall(payload)
        assert received(self.server, len(payload)) == payload
        self.server.sendall(payload)
        assert received(self.client, len(payload)) == payload


@dataclass(frozen=True, slots=True)
class TwoHosts:
    """This host and the far one."""

    near: Host
    far: Host

    @contextmanager
    def at_far(self) -> Iterator[None]:
        """Have the sockets made meanwhile belong to the far host."""
        with open("/proc/self/ns/net", "rb") as here:  # noqa: PTH123  # a namespace, for its descriptor
            with open(f"/run/netns/{self.far.namespace}", "rb") as there:  # noqa: PTH123
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())

    def connect(self, count: int, ports: list[int]) -> list[Connection]:
        """Open connections from the far host to listeners of this one, the ports taking turns."""
        with ExitStack() as stack:
            listeners = {port: stack.enter_context(socket.create_server(("", port))) for port in ports}
            made = []
            for number in range(count):
                port = ports[number % len(ports)]
                with self.at_far():
                    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                client.settimeout(PATIENCE_S)
                client.connect((self.near.address, port))
                listeners[port].settimeout(PATIENCE_S)
                server, _ = listeners[port].accept()
                for end in (client, server):
                    end.settimeout(PATIENCE_S)
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                made.append(Connection(client, server))
        return made


@contextmanager
def two_hosts() -> Iterator[TwoHosts]:
    """Lay the wire in the caller's namespace, and take it up again."""
    far = Host(f"msfar{os.getpid()}", "far0", "10.77.0.2", "fd77::2", "02:00:00:00:77:02")
    run("ip", "netns", "add", far.namespace)
    try:
        peer = ("peer", "name", far.device, "address", far.mac, "netns", far.namespace)
        run("ip", "link", "add", NEAR.device, "address", NEAR.mac, "type", "veth", peer)
        for host, where in ((NEAR, ()), (far, ("-n", far.namespace))):
            run("ip", where, "address", "add", f"{host.address}/24", "dev", host.device)
            run("ip", where, "address", "add", f"{host.address6}/64", "dev", host.device, "nodad")
            run("ip", where, "link", "set", host.device, "up")
        yield TwoHosts(NEAR, far)
    finally:
        run("ip", "netns", "del", far.namespace)


@contextmanager
def many_files(count: int) -> Iterator[None]:
    """Allow this process so many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), max(hard, count)))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, max(hard, count)))


def received(end: socket.socket, length: int) -> bytes:
    """Return so many bytes from a socket, fewer when it was closed."""
    octets = b""
    while len(octets) < length:
        more = end.recv(length - len(octets))
        if not more:
            break
        octets += more
    return octets


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
