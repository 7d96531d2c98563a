"""Three hosts and the machine between them, as network namespaces.

    web 10.1.1.10 ----\
    app 10.1.2.10 ----- host: forwards, and has the filter on its side of each cable
    db  10.1.3.10 ----/

Even `host` is a namespace, so that no address, route or setting of the machine this runs on changes.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
NAMESPACES = Path("/run/netns")
C_LIBRARY = ctypes.CDLL(None, use_errno=True)

SETTINGS_OF_THE_HOST = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
}


class Family(Enum):
    """The version of IP; the value is what the socket module calls it."""

    IPV4 = socket.AF_INET
    IPV6 = socket.AF_INET6

    def __str__(self) -> str:
        return "IPv4" if self is Family.IPV4 else "IPv6"


@dataclass(frozen=True)
class Node:
    """A host at the end of a cable. Its name is also that of the host's interface it hangs on."""

    name: str
    number: int

    def address(self, family: Family) -> str:
        return f"10.1.{self.number}.10" if family is Family.IPV4 else f"2001:db8:{self.number}::10"

    def gateway(self, family: Family) -> str:
        return f"10.1.{self.number}.1" if family is Family.IPV4 else f"2001:db8:{self.number}::1"


WEB = Node("web", 1)
APP = Node("app", 2)
DB = Node("db", 3)
NODES = (WEB, APP, DB)


class Network:
    """The namespaces of one run. Use as a context manager: all are gone at its end."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def host(self) -> str:
        """The namespace that forwards and filters."""
        return f"{self._prefix}-host"

    def namespace_of(self, node: Node) -> str:
        return f"{self._prefix}-{node.name}"

    def command_on_host(self, *command: str) -> list[str]:
        """Return the command so that it runs in the host's namespace.

        Not by `ip netns exec`: that mounts another /sys, without the BPF file system in it.
        """
        return ["nsenter", f"--net={NAMESPACES / self.host}", "--", *command]

    def remove(self) -> None:
        """Remove what there is; the cables go with the namespaces at their ends."""
        for namespace in (*map(self.namespace_of, NODES), self.host):
            if (NAMESPACES / namespace).exists():
                ip("netns", "delete", namespace)

    def _build(self) -> None:
        for namespace in (self.host, *map(self.namespace_of, NODES)):
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
        with inside(self.host):
            for name, value in SETTINGS_OF_THE_HOST.items():
                write_setting(name, value)
        for node in NODES:
            self._connect(node)

    def _connect(self, node: Node) -> None:
        there = self.namespace_of(node)
        ip("-n", self.host, "link", "add", node.name, "type", "veth", "peer", "eth0", "netns", there)
        for family, bits, flags in ((Family.IPV4, 24, ()), (Family.IPV6, 64, ("nodad",))):
            gateway, address = f"{node.gateway(family)}/{bits}", f"{node.address(family)}/{bits}"
            ip("-n", self.host, "address", "add", gateway, "dev", node.name, *flags)
            ip("-n", there, "address", "add", address, "dev", "eth0", *flags)
        ip("-n", self.host, "link", "set", node.name, "up")
        ip("-n", there, "link", "set", "eth0", "up")
        for family in Family:
            ip("-n", there, "route", "add", "default", "via", node.gateway(family))


def ip(*arguments: str) -> None:
    """Run ip(8), and raise with its own words when it fails."""
    run = subprocess.run(["ip", *arguments], capture_output=True, check=False, text=True)
    if run.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {run.stderr.strip()}")


def write_setting(name: str, value: str) -> None:
    (Path("/proc/sys") / name).write_text(value)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Let the calling thread be in the namespace. A socket that is made there stays there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        enter(NAMESPACES / namespace)
        try:
            yield
        finally:
            check_call(C_LIBRARY.setns(home, CLONE_NEWNET), "going back")
    finally:
        os.close(home)


def enter(namespace: Path) -> None:
    descriptor = os.open(namespace, os.O_RDONLY)
    try:
        check_call(C_LIBRARY.setns(descriptor, CLONE_NEWNET), f"entering {namespace}")
    finally:
        os.close(descriptor)


def check_call(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
