"""The frames that the packet generator sends: whole ones, with checksums, for they meet real stacks."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microseg.policy.services import Protocol

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

_ETHERNET, _IPV4, _IPV6 = 14, 20, 40
"""Lengths of headers in bytes."""
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}
_CHECKSUM_AT = {Protocol.UDP: 6, Protocol.TCP: 16}
SYN, ACK = 0x02, 0x10
"""Flags of TCP (RFC 9293 3.1)."""


@dataclass(frozen=True, slots=True)
class Template:
    """The frame of a packet but for the address and port of its flow.

    Attributes:
        dst_mac: Ethernet address of the receiver, as text.
        first: source address of the first flow; those of the others follow it.
        dst: destination address, of the same family.
        port: destination port.
        protocol: TCP or UDP.
        flags: of TCP.
        first_port: source port of the first flow.
        length: of the frame in bytes, Ethernet header included.
        replies: from that destination to the flows' sources, the other way round.

    """

    dst_mac: str
    first: IPv4Address | IPv6Address
    dst: IPv4Address | IPv6Address
    port: int
    protocol: Protocol = Protocol.UDP
    flags: int = ACK
    first_port: int = 1024
    length: int = 60
    replies: bool = False

    @property
    def frame(self) -> bytes:
        """Return it with both checksums and the flow's port 0; IPv6 needs a frame of 80 bytes at least."""
        return self._ethernet() + self._network() + self._transport()

    @property
    def network_sum(self) -> int:
        """Sum of the IPv4 header without the flow's address; 0 for IPv6, which has no checksum."""
        header = self._network()
        return 0 if self.dst.version == 6 else _sum(header[:12] + self.dst.packed)

    @property
    def transport_sum(self) -> int:
        """Sum for the checksum of the transport, pseudo-header included, without what the generator writes.

        Of the flow's IPv6 address all but its last four bytes (RFC 8200 8.1).
        """
        transport = self._transport()
        known = self.first.packed[:-4] + self.dst.packed
        return _sum(known + struct.pack("!II", len(transport), self.protocol) + transport)

    def _ethernet(self) -> bytes:
        macs = bytes.fromhex(self.dst_mac.replace(":", "")) + bytes.fromhex("02000000be99")
        return macs + _ETHERTYPES[self.dst.version].to_bytes(2, "big")

    def _network(self) -> bytes:
        rest = self.length - _ETHERNET
        ends = (self.dst, self.first) if self.replies else (self.first, self.dst)
        addresses = ends[0].packed + ends[1].packed
        if self.dst.version == 4:
            return struct.pack("!BBHHHBBH", 0x45, 0, rest, 1, 0x4000, 64, self.protocol, 0) + addresses
        return struct.pack("!IHBB", 6 << 28, rest - _IPV6, self.protocol, 64) + addresses

    def _transport(self) -> bytes:
        room = self.length - _ETHERNET - (_IPV4 if self.dst.version == 4 else _IPV6)
        ports = (self.port, 0) if self.replies else (0, self.port)
        if self.protocol is Protocol.UDP:
            header = struct.pack("!HHHH", *ports, room, 0)
        else:
            header = struct.pack("!HHIIBBHHH", *ports, 1, 1, 5 << 4, self.flags, 65535, 0, 0)
        assert room >= len(header), f"a frame of {self.length} bytes is too short"
        return header.ljust(room, b"\0")


def _sum(octets: bytes) -> int:
    """Return the one's complement sum of words as they lie in memory, folded once to 16 bits (RFC 1071)."""
    padded = octets + bytes(len(octets) % 2)
    total: int = sum(struct.unpack(f"={len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total
