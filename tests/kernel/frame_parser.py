"""A frame as the RFCs read it: strict, slow, from the standards and not from the C program.

What it can't read is MALFORMED, and a filter has to drop it. What it reads but a filter may refuse all the
same (more extension headers than it follows, TCP flags that no connection sends) is `odd`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from struct import unpack_from

from microseg.policy.packet import Packet

IPAddress = IPv4Address | IPv6Address

ETHERNET_HEADER = 14
IPV4, IPV6, ARP, VLAN, SERVICE_VLAN = 0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8
MOST_TAGS = 2
MOST_EXTENSIONS = 8
HOP_BY_HOP, ICMP, TCP, UDP, ROUTING, FRAGMENT, AH, ICMPV6, OPTIONS, SCTP = (
    0,
    1,
    6,
    17,
    43,
    44,
    51,
    58,
    60,
    132,
)
EXTENSIONS = (HOP_BY_HOP, ROUTING, FRAGMENT, AH, OPTIONS)
TRANSPORT_BYTES = {TCP: 20, UDP: 8, SCTP: 16, ICMP: 8, ICMPV6: 8}
"""SCTP: the common header and the head of one chunk, without which there is no packet (RFC 9260 3)."""
QUOTED_BYTES = 8
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
ECHO = {(4, ICMP, 8 << 8), (6, ICMPV6, 128 << 8)}
ECHO_REPLY = {(4, ICMP, 0), (6, ICMPV6, 129 << 8)}
ERRORS = {ICMP: (3, 11, 12), ICMPV6: (1, 2, 3, 4)}
"""ICMP messages about a packet they quote (RFC 1122 3.2.2, RFC 4443 2.1), but neither redirects, which are
advice, nor source quench, which is no more (RFC 6633)."""
TCP_FLAGS = (SYN, SYN | ACK, ACK, FIN | ACK, RST, RST | ACK)
"""What implementations send, of the flags that matter here."""


class Shape(Enum):
    """What a frame is."""

    MALFORMED = "malformed"
    TOO_MANY_TAGS = "more than two VLAN tags"
    ARP = "ARP"
    OTHER = "another ethertype"
    LATER_FRAGMENT = "a later fragment"
    PACKET = "a packet that policy can speak about"


@dataclass(frozen=True, slots=True)
class Datagram:
    """What the fragments of one packet have in common; the protocol is 0 for IPv6 (RFC 8200 4.5)."""

    src: IPAddress
    dst: IPAddress
    protocol: int
    identification: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What is in a frame.

    Attributes:
        shape: what it is; the rest is only there for fragments and packets.
        why: of a malformed one.
        odd: what a filter may refuse it for although it is well-formed.
        tags: VLAN tags.
        ethertype: behind them, of what is neither IP nor ARP.
        packet: what policy judges.
        datagram: set for fragments, the first one (a PACKET) and later ones.
        fragment_offset: octets.
        fragment_octets: how many of the whole packet's are in this fragment.
        hop_limit: IPv6 hop limit or IPv4 time to live.
        tcp_flags: 0 for other protocols.
        chunk: type of SCTP's first one.
        identifier: of ICMP echo and its reply.
        quoted: of ICMP errors, as far as it can be read.

    """

    shape: Shape
    why: str = ""
    odd: tuple[str, ...] = ()
    tags: int = 0
    ethertype: int = 0
    packet: Packet | None = None
    datagram: Datagram | None = None
    fragment_offset: int = 0
    fragment_octets: int = 0
    hop_limit: int = 0
    tcp_flags: int = 0
    chunk: int | None = None
    identifier: int | None = None
    quoted: Reading | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """An IP header, up to the transport header.

    Attributes:
        payload: from the transport header to the end of the packet, or of what there is of it in a quote.
        held: octets of a fragment.
        more: more fragments follow.
        quote: the packet is cut, and some routers change what it says of its length: that isn't read.

    """

    src: IPAddress
    dst: IPAddress
    protocol: int
    hop_limit: int
    payload: bytes
    odd: tuple[str, ...] = ()
    datagram: Datagram | None = None
    offset: int = 0
    held: int = 0
    more: bool = False
    quote: bool = False


class MalformedError(Exception):
    """The frame breaks a rule; the argument says which."""


def read_frame(frame: bytes, *, big: bool = False) -> Reading:
    """Read an Ethernet frame (IEEE 802.3, 802.1Q). big: a packet over 64 KiB may say length 0 (RFC 2675)."""
    if len(frame) < ETHERNET_HEADER:
        return Reading(Shape.MALFORMED, "shorter than an Ethernet header")
    at, tags = ETHERNET_HEADER, 0
    ethertype = int.from_bytes(frame[12:14], "big")
    while ethertype in (VLAN, SERVICE_VLAN):
        if len(frame) < at + 4:
            return Reading(Shape.MALFORMED, "cut in a VLAN tag")
        ethertype = int.from_bytes(frame[at + 2 : at + 4], "big")
        at, tags = at + 4, tags + 1
    if ethertype in (IPV4, IPV6):
        inside = read_ip(frame[at:], 4 if ethertype == IPV4 else 6, big=big)
    else:
        inside = Reading(Shape.ARP if ethertype == ARP else Shape.OTHER, ethertype=ethertype)
    if tags > MOST_TAGS and inside.shape is not Shape.MALFORMED:
        return replace(inside, shape=Shape.TOO_MANY_TAGS, tags=tags)
    return replace(inside, tags=tags)


def read_ip(octets: bytes, version: int, *, big: bool = False, quote: bool = False) -> Reading:
    """Read an IP packet, of the version that whoever carries it says."""
    try:
        header = (_ipv4 if version == 4 else _ipv6)(octets, big, quote)
        if header.datagram and not quote:
            _check_fragment(header)
        return _later_fragment(header) if header.offset else _transport(header)
    except MalformedError as error:
        return Reading(Shape.MALFORMED, str(error))


def _ipv4(octets: bytes, big: bool, quote: bool) -> Header:  # noqa: FBT001
    """RFC 791 3.1."""
    _require(len(octets) >= 20, "shorter than an IPv4 header")
    (first, total, identification, fragment, ttl, protocol) = unpack_from("!BxHHHBB", octets)
    if quote or (total == 0 and big):
        total = len(octets)
    header_bytes = (first & 15) * 4
    _require(first >> 4 == 4, "IPv4 version is not 4")
    _require(header_bytes >= 20, "IPv4 header length below 20")
    _require(total >= header_bytes, "IPv4 total length below the header length")
    _require(total <= len(octets), "IPv4 total length beyond the frame")
    src, dst = IPv4Address(octets[12:16]), IPv4Address(octets[16:20])
    offset, more = (fragment & 0x1FFF) * 8, bool(fragment & 0x2000)
    datagram = Datagram(src, dst, protocol, identification) if offset or more else None
    payload = octets[header_bytes:total]
    held = len(payload) if datagram else 0
    return Header(src, dst, protocol, ttl, payload, (), datagram, offset, held, more, quote)


def _ipv6(octets: bytes, big: bool, quote: bool) -> Header:  # noqa: FBT001
    """RFC 8200 3."""
    _require(len(octets) >= 40, "shorter than an IPv6 header")
    first, length, following, hop_limit = unpack_from("!B3xHBB", octets)
    if quote or (length == 0 and big):
        length = len(octets) - 40
    _require(first >> 4 == 6, "IPv6 version is not 6")
    _require(length <= len(octets) - 40, "IPv6 payload length beyond the frame")
    src, dst = IPv6Address(octets[8:24]), IPv6Address(octets[24:40])
    payload = octets[40 : 40 + length]
    return _extensions(Header(src, dst, following, hop_limit, payload, quote=quote))


def _extensions(header: Header) -> Header:
    """RFC 8200 4, RFC 4302 2 (AH): walk the chain, which a first fragment has to hold whole (RFC 7112)."""
    walked = fragments = 0
    while header.protocol in EXTENSIONS:
        octets, kind = header.payload, header.protocol
        _require(len(octets) >= 8, "cut in an extension header")
        size = {FRAGMENT: 8, AH: (octets[1] + 2) * 4}.get(kind, (octets[1] + 1) * 8)
        if kind == FRAGMENT:
            fragments += 1
            _require(fragments == 1, "a fragment of a fragment, which nobody can judge")
            header = _fragment_header(header)
            if header.offset:
                return header
        _require(size <= len(octets), "extension header beyond the payload")
        walked += 1
        odd = header.odd + (("hop-by-hop options not first",) if kind == HOP_BY_HOP and walked > 1 else ())
        header = replace(header, protocol=octets[0], payload=octets[size:], odd=odd)
    if walked > MOST_EXTENSIONS:
        return replace(header, odd=(*header.odd, "a long chain of extension headers"))
    return header


def _fragment_header(header: Header) -> Header:
    """RFC 8200 4.5; neither offset nor more: an atomic fragment, which is a whole packet (RFC 6946)."""
    following, fragment, identification = unpack_from("!BxHI", header.payload)
    offset, more = fragment & 0xFFF8, bool(fragment & 1)
    if not offset and not more:
        return header
    datagram = Datagram(header.src, header.dst, 0, identification)
    held = len(header.payload) - 8
    return replace(header, datagram=datagram, offset=offset, held=held, more=more, protocol=following)


def _check_fragment(header: Header) -> None:
    """RFC 791 3.2, RFC 8200 4.5: units of 8 octets but in the last one, no packet above 65,535 octets."""
    _require(header.held > 0, "a fragment of nothing")
    _require(not header.more or header.held % 8 == 0, "a fragment that is no multiple of 8 octets")
    _require(header.offset + header.held <= 0xFFFF, "a fragment beyond the longest packet")


def _later_fragment(header: Header) -> Reading:
    return Reading(
        Shape.LATER_FRAGMENT,
        odd=header.odd,
        packet=Packet(header.src, header.dst, header.protocol),
        datagram=header.datagram,
        fragment_offset=header.offset,
        fragment_octets=header.held,
        hop_limit=header.hop_limit,
    )


def _transport(header: Header) -> Reading:
    octets, protocol = header.payload, header.protocol
    need = TRANSPORT_BYTES.get(protocol, 0)
    _require(
        len(octets) >= (min(need, QUOTED_BYTES) if header.quote else need), "cut in the transport header"
    )
    port = source_port = 0
    if protocol in (TCP, UDP, SCTP):
        source_port, port = unpack_from("!HH", octets)
    elif protocol in (ICMP, ICMPV6):
        (port,) = unpack_from("!H", octets)
    reading = Reading(
        Shape.PACKET,
        odd=header.odd,
        packet=Packet(header.src, header.dst, protocol, port, source_port),
        datagram=header.datagram,
        fragment_octets=header.held,
        hop_limit=header.hop_limit,
    )
    if protocol in (ICMP, ICMPV6):
        return _icmp(header, reading)
    if header.quote:
        return reading
    if protocol == TCP:
        return _tcp(header, reading)
    if protocol == UDP:
        return _udp(header, reading)
    return replace(reading, chunk=octets[12]) if protocol == SCTP else reading


def _tcp(header: Header, reading: Reading) -> Reading:
    """RFC 9293 3.1; flags that no implementation sends are odd."""
    offset, flags = unpack_from("!12xBB", header.payload)
    _require((offset >> 4) * 4 >= 20, "TCP data offset below 5")
    _require((offset >> 4) * 4 <= len(header.payload), "TCP data offset beyond the packet")
    usual = flags & (FIN | SYN | RST | ACK) in TCP_FLAGS
    odd = header.odd if usual else (*header.odd, "TCP flags")
    return replace(reading, tcp_flags=flags, odd=odd)


def _udp(header: Header, reading: Reading) -> Reading:
    """RFC 768; the length is that of the whole datagram, which a fragment doesn't hold."""
    (length,) = unpack_from("!4xH", header.payload)
    _require(length >= 8, "UDP length below its header")
    if header.more:
        whole = length <= len(header.payload)
        return replace(reading, odd=(*reading.odd, "UDP length of a fragment")) if whole else reading
    _require(length <= len(header.payload), "UDP length beyond the packet")
    return reading


def _icmp(header: Header, reading: Reading) -> Reading:
    """RFC 792, RFC 4443."""
    assert reading.packet is not None
    version, octets = header.src.version, header.payload
    if (version, header.protocol, reading.packet.port) in ECHO | ECHO_REPLY:
        return replace(reading, identifier=int.from_bytes(octets[4:6], "big"))
    own = ICMP if version == 4 else ICMPV6
    if header.protocol == own and octets[0] in ERRORS[own] and not header.quote:
        return replace(reading, quoted=read_ip(octets[8:], version, quote=True))
    return reading


def _require(condition: bool, what: str) -> None:  # noqa: FBT001
    if not condition:
        raise MalformedError(what)
