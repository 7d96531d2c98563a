"""The packets of a comparison: from clients that a rule names, or that none does, to the server behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address

from bench.side.lab import CLIENTS, RECEIVER_MAC, SERVER, SINK_MAC, Namespace, Receiver

from microseg.bench.frames import Template
from microseg.bench.generator import Flows, Generator

PORT = 8000
LENGTHS = {4: 60, 6: 80}
"""Bytes of a frame; the shortest there are, but that the generator wants 80 for IPv6."""
STRANGERS = {4: "10.127.0.0", 6: "fd7f::"}
"""First of the clients that no rule names."""


@dataclass(frozen=True)
class Stream:
    """Packets of one kind.

    Attributes:
        version: of IP.
        flows: so many in turn; 0: each packet opens another one.
        hosts: clients they are spread over.
        first: address of the first client.
        start: number of the first flow.

    """

    version: int = 4
    flows: int = 1
    hosts: int = 1
    first: str = ""
    start: int = 0

    def template(self, *, replies: bool = False) -> Template:
        """Return its frame, on the way to the receiver or, as answers, on the way back through it."""
        first = ip_address(self.first or CLIENTS[self.version])
        destination, mac = ip_address(SERVER[self.version]), SINK_MAC if replies else RECEIVER_MAC
        return Template(mac, first, destination, PORT, length=LENGTHS[self.version], replies=replies)


@dataclass
class Sender:
    """Sends streams to receivers; each goes on where it was."""

    generator: Generator
    inside: Namespace

    def send(self, receiver: Receiver, stream: Stream, packets: int) -> tuple[int, Stream]:
        """Send as fast as it goes; return the nanoseconds a packet took, and what follows."""
        template = stream.template()
        if not packets:
            return 0, stream
        with self.inside.entered():
            self._aim(template, stream, receiver.wire)
            taken = self.generator.send(template.frame, packets)
        return taken, self._following(stream, packets)

    def answer(self, receiver: Receiver, stream: Stream, packets: int) -> Stream:
        """Send the answers to so many packets of a stream, from behind the receiver."""
        template = stream.template(replies=True)
        with receiver.inside.entered():
            self._aim(template, stream, 0)
            self.generator.send(template.frame, packets, enters=receiver.sink)
        return self._following(stream, packets)

    def _aim(self, template: Template, stream: Stream, ifindex: int) -> None:
        self.generator.aim(template, Flows(stream.flows, stream.hosts, stream.start), ifindex)

    def _following(self, stream: Stream, packets: int) -> Stream:
        assert self.generator.sent() >= packets
        return replace(stream, start=self.generator.turn())
