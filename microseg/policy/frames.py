"""Packets as Ethernet frames, and back: enough to ask the kernel about a packet, and to read a captured one.

Frames that are written have no checksums and no payload. Reading is for the packet that policy speaks about;
what isn't one, or not whole, is an UnreadableError that says why.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from microseg.policy.packet import Packet
from microseg.policy.services import Protocol

_MACS = bytes.fromhex("020000000002020000000001")
"""Destination and source, locally administered."""
_SHORTEST = 60
"""Bytes of the shortest Ethernet frame, without its checksum."""
_IPV4, _IPV6, _ARP, _TAGS = 0x0800, 0x86DD, 0x0806, (0x8100, 0x88A8)
_SYN = 0x02
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AH, _OPTIONS = 0, 43, 44, 51, 60
EXTENSIONS = frozenset({_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AH, _OPTIONS})
"""Protocol numbers that over IPv6 are extension headers."""
_TRANSPORT_BYTES = {
    Protocol.TCP: 20,
    Protocol.UDP: 8,
    Protocol.SCTP: 12,
    Protocol.ICMP: 8,
    Protocol.ICMPV6: 8,
}


class UnreadableError(Exception):
    """The frame holds no packet that policy could judge; the text says why."""


def write_frame(packet: Packet) -> bytes:
    """Return the frame of the first packet of a connection (TCP: a SYN, SCTP: an INIT).

    Raises ValueError for a protocol number that over IPv6 is an extension header.
    """
    if packet.src.version == 6 and packet.protocol in EXTENSIONS:
        raise ValueError(f"over IPv6, {packet.protocol} is an extension header, not a packet's protocol")
    transport = _transport(packet)
    if packet.src.version == 4:
        network = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(transport), 1, 0, 64, packet.protocol, 0)
        ethertype = _IPV4
    else:
        network = struct.pack("!IHBB", 6 << 28, len(transport), packet.protocol, 64)
        ethertype = _IPV6
    addresses = packet.src.packed + packet.dst.packed
    frame = _MACS + ethertype.to_bytes(2, "big") + network + addresses + transport
    return frame.ljust(_SHORTEST, b"\0")


def _transport(packet: Packet) -> bytes:
    ports = struct.pack("!HH", packet.source_port, packet.port)
    match packet.protocol:
        case Protocol.TCP:
            return ports + struct.pack("!IIBBHHH", 1, 0, 5 << 4, _SYN, 65535, 0, 0)
        case Protocol.UDP:
            return ports + struct.pack("!HH", 8, 0)
        case Protocol.SCTP:
            return ports + struct.pack("!IIBBHIIHHI", 0, 0, 1, 0, 20, 1, 65535, 1, 1, 1)
        case Protocol.ICMP | Protocol.ICMPV6:
            return struct.pack("!HHHH", packet.port, 0, 1, 1)
        case _:
            return bytes(20)


@dataclass(frozen=True, slots=True)
class _Inside:
    """What is left to read of an IP packet: from here to its end. more: the rest is in later fragments."""

    src: IPv4Address | IPv6Address
    dst: IPv4Address | IPv6Address
    protocol: int
    octets: bytes
    more: bool = False


def read_frame(frame: bytes) -> Packet:
    """Return the packet in an Ethernet frame with up to two VLAN tags; raises UnreadableError."""
    at, tags = 12, 0
    while int.from_bytes(frame[at : at + 2], "big") in _TAGS:
        at, tags = at + 4, tags + 1
    _require(len(frame) >= at + 2, "it is shorter than an Ethernet header")
    _require(tags <= 2, "it has more than two VLAN tags")
    ethertype, octets = int.from_bytes(frame[at : at + 2], "big"), frame[at + 2 :]
    match ethertype:
        case 0x0800:
            return _packet(_read_ipv4(octets))
        case 0x86DD:
            return _packet(_read_ipv6(octets))
        case _:
            raise UnreadableError(
                "it is ARP" if ethertype == _ARP else f"ethertype {ethertype:#06x} is not IP"
            )


def _read_ipv4(octets: bytes) -> _Inside:
    """RFC 791 3.1."""
    _require(len(octets) >= 20, "it is shorter than an IPv4 header")
    first, total, fragment, protocol = struct.unpack_from("!BxH2xHxB", octets)
    header = (first & 15) * 4
    _require(first >> 4 == 4 and header >= 20, "its IPv4 version or header length is wrong")
    _require(header <= total <= len(octets), "its IPv4 total length is wrong")
    _require(not fragment & 0x1FFF, "it is a later fragment, which follows the first one")
    src, dst = IPv4Address(octets[12:16]), IPv4Address(octets[16:20])
    return _Inside(src, dst, protocol, octets[header:total], bool(fragment & 0x2000))


def _read_ipv6(octets: bytes) -> _Inside:
    """RFC 8200 3 and 4: the header and the extension headers behind it."""
    _require(len(octets) >= 40, "it is shorter than an IPv6 header")
    first, length, protocol = struct.unpack_from("!B3xHB", octets)
    _require(first >> 4 == 6, "its IPv6 version is wrong")
    _require(length <= len(octets) - 40, "its IPv6 payload length is wrong")
    src, dst = IPv6Address(octets[8:24]), IPv6Address(octets[24:40])
    inside = _Inside(src, dst, protocol, octets[40 : 40 + length])
    while inside.protocol in EXTENSIONS:
        inside = _behind_extension(inside)
    return inside


def _behind_extension(inside: _Inside) -> _Inside:
    octets, more = inside.octets, inside.more
    _require(len(octets) >= 8, "it ends within an extension header")
    size = (octets[1] + 2) * 4 if inside.protocol == _AH else (octets[1] + 1) * 8
    if inside.protocol == _FRAGMENT:
        fragment = int.from_bytes(octets[2:4], "big")
        _require(not fragment & 0xFFF8, "it is a later fragment, which follows the first one")
        size, more = 8, bool(fragment & 1)
    _require(size <= len(octets), "an extension header is longer than the packet")
    return replace(inside, protocol=octets[0], octets=octets[size:], more=more)


def _packet(inside: _Inside) -> Packet:
    octets, protocol = inside.octets, inside.protocol
    need = _TRANSPORT_BYTES.get(protocol, 0)  # type: ignore[call-overload]  # a plain number is an equal key
    _require(len(octets) >= need, "it ends within its transport header")
    if not need:
        return Packet(inside.src, inside.dst, protocol)
    if protocol in (Protocol.ICMP, Protocol.ICMPV6):
        return Packet(inside.src, inside.dst, protocol, int.from_bytes(octets[:2], "big"))
    source_port, port, length = struct.unpack_from("!3H", octets)
    if protocol == Protocol.TCP:
        header = (octets[12] >> 4) * 4
        _require(20 <= header <= len(octets), "its TCP data offset is wrong")
    if protocol == Protocol.UDP:
        _require(length >= 8 and (inside.more or length <= len(octets)), "its UDP length is wrong")
    return Packet(inside.src, inside.dst, protocol, port, source_port)


def _require(condition: bool, otherwise: str) -> None:  # noqa: FBT001
    if not condition:
        raise UnreadableError(otherwise)
