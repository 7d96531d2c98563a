"""What takes part in a comparison: a filter on a receiver, and the rules that all of them are given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol, assert_never

from bench.side.flows import PORT
from bench.side.lab import CLIENTS, SERVER, Receiver

RULES6 = 8
"""So many of IPv6 beside those of IPv4."""


class Lets(Enum):
    """What a contestant lets pass."""

    ALL = "all"
    ALLOWED = "what the rules allow"
    NONE = "nothing"

    def passing(self, packets: int, *, allowed: bool) -> int:
        """Return how many of so many packets pass, which the rules allow or don't."""
        match self:
            case Lets.ALL:
                return packets
            case Lets.ALLOWED:
                return packets * allowed
            case Lets.NONE:
                return 0
            case _:
                assert_never(self)


@dataclass(frozen=True)
class Rules:
    """So many clients may send datagrams to the server, each by a rule of its own; all else is denied."""

    count: int

    def clients(self, version: int) -> Iterator[str]:
        """Yield the clients, one for each rule."""
        first = ip_address(CLIENTS[version])
        return (str(first + number) for number in range(self.count if version == 4 else RULES6))

    @property
    def hosts(self) -> int:
        """How many of the IPv4 clients send: a power of two, of all sizes the largest there is."""
        return 1 << (self.count.bit_length() - 1)

    def lines(self, version: int, form: str) -> str:
        """Return a line for each rule: {client}, {server} and {port} of the form filled in."""
        server = SERVER[version]
        return "".join(form.format(client=it, server=server, port=PORT) for it in self.clients(version))


@dataclass(frozen=True)
class Place:
    """Where a contestant is set up.

    Attributes:
        receiver: its host.
        pins: a folder of a BPF file system, which doesn't exist yet.
        sessions: how many it must be able to remember.
        rules: how many it must be able to enforce.
        open: what takes it down again.

    """

    receiver: Receiver
    pins: Path
    sessions: int
    rules: int
    open: ExitStack


class Contestant(Protocol):
    """One way to filter."""

    name: str
    lets: Lets
    stateful: bool
    """Whether it remembers flows."""

    def set_up(self, place: Place) -> None:
        """Put it where it is to be, with no rules yet."""

    def install(self, rules: Rules) -> None:
        """Put rules in force, in place of those before; raises CommandError."""

    def forget(self) -> None:
        """Forget all flows, when remembering them costs more the more there are."""
