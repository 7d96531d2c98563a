"""Frames of policy packets that a host can have sent."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from microseg.policy.frames import write_frame
from microseg.policy.services import Protocol

if TYPE_CHECKING:
    from microseg.policy.packet import Packet

TCP_SYN = 0x02
SEQUENCE = 1
"""Of both sides of each TCP connection, and acknowledged by both."""
TCP_HEADER = {4: 14 + 20, 6: 14 + 40}
"""Where a frame has it, by IP version."""
EXTENSION_HEADERS = frozenset({0, 43, 44, 51, 60, 135, 139, 140, 253, 254})
"""IPv6 next-header values that are not the packet's protocol (IANA, IPv6 Extension Header Types)."""


def can_be_sent(packet: Packet) -> bool:
    """Say whether there is such a packet: over IPv6 an extension header is not the packet's protocol."""
    return packet.src.version == 4 or packet.protocol not in EXTENSION_HEADERS


def frame(packet: Packet, tcp_flags: int = TCP_SYN) -> bytes:
    """Return the frame of a packet; of TCP, the first one of a connection unless other flags are given."""
    octets = bytearray(write_frame(packet))
    if packet.protocol == Protocol.TCP:
        at = TCP_HEADER[packet.src.version] + 4
        struct.pack_into("!IIBB", octets, at, SEQUENCE, SEQUENCE + 1, 5 << 4, tcp_flags)
    return bytes(octets)
