"""Ethernet frames for policy packets, built by hand so that a million of them take seconds."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from microseg.policy.services import Protocol

if TYPE_CHECKING:
    from microseg.policy.packet import Packet

MACS = bytes.fromhex("020000000002020000000001")
ETHERTYPE = {4: b"\x08\x00", 6: b"\x86\xdd"}
TCP_SYN = 0x02
SEQUENCE = 1
"""Of both sides of each TCP connection, and acknowledged by both."""
EXTENSION_HEADERS = frozenset({0, 43, 44, 51, 60, 135, 139, 140, 253, 254})
"""IPv6 next-header values that are not the packet's protocol (IANA, IPv6 Extension Header Types)."""


def can_be_sent(packet: Packet) -> bool:
    """Say whether there is such a packet: over IPv6 an extension header is not the packet's protocol."""
    return packet.src.version == 4 or packet.protocol not in EXTENSION_HEADERS


def frame(packet: Packet, tcp_flags: int = TCP_SYN) -> bytes:
    """Return the frame of the first packet of a connection (at least 60 bytes; checksums are left 0)."""
    payload = _transport(packet, tcp_flags)
    version = packet.src.version
    network = _ipv4(packet, len(payload)) if version == 4 else _ipv6(packet, len(payload))
    return (MACS + ETHERTYPE[version] + network + payload).ljust(60, b"\0")


def _transport(packet: Packet, tcp_flags: int) -> bytes:
    ports = struct.pack("!HH", packet.source_port, packet.port)
    match packet.protocol:
        case Protocol.TCP:
            return ports + struct.pack("!IIBBHHH", SEQUENCE, SEQUENCE + 1, 5 << 4, tcp_flags, 65535, 0, 0)
        case Protocol.UDP:
            return ports + struct.pack("!HH", 8, 0)
        case Protocol.SCTP:
            return ports + struct.pack("!IIBBHIIHHI", 0, 0, 1, 0, 20, 1, 65535, 1, 1, 1)
        case Protocol.ICMP | Protocol.ICMPV6:
            return struct.pack("!HHHH", packet.port, 0, 7, 1)
        case _:
            return bytes(20)


def _ipv4(packet: Packet, payload_length: int) -> bytes:
    fixed = struct.pack("!BBHHHBBH", 0x45, 0, 20 + payload_length, 1, 0, 64, packet.protocol, 0)
    return fixed + packet.src.packed + packet.dst.packed


def _ipv6(packet: Packet, payload_length: int) -> bytes:
    assert can_be_sent(packet), "the chain of headers would go on"
    fixed = struct.pack("!IHBB", 6 << 28, payload_length, packet.protocol, 64)
    return fixed + packet.src.packed + packet.dst.packed
