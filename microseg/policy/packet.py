"""A packet as far as policy is concerned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.policy.services import Protocol

if TYPE_CHECKING:
    from microseg.policy.addresses import IPAddress

_NAMES = {protocol.value: protocol.name.lower() for protocol in Protocol}


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection.

    Attributes:
        src: source address; of the same family as dst.
        dst: destination address.
        protocol: IP protocol number, 0 .. 255; for IPv6 the one after the extension headers.
        port: destination port (host order); type << 8 | code for ICMP and ICMPv6; 0 without ports.
        source_port: source port (host order); 0 without ports.

    """

    src: IPAddress
    dst: IPAddress
    protocol: int
    port: int = 0
    source_port: int = 0

    def __str__(self) -> str:
        name = _NAMES.get(self.protocol, f"proto/{self.protocol}")
        ends = f"{self.src} -> {self.dst}"
        if self.protocol in (Protocol.ICMP, Protocol.ICMPV6):
            return f"{ends} : {name}/{self.port >> 8}/{self.port & 0xFF}"
        if self.protocol in _NAMES:
            return f"{ends} : {name}/{self.port} from {self.source_port}"
        return f"{ends} : {name}"
