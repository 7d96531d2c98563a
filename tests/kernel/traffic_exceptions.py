"""What passes without being judged: the exceptions of invariant I6, as docs/data-plane.md lists them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from kernel.frame_parser import ICMPV6, UDP, Reading, Shape

from microseg.abi_flow import Direction
from microseg.abi_settings import Settings, Unasked

NEIGHBOUR_DISCOVERY = range(133, 138)
LISTENER_DISCOVERY = (130, 131, 132, 143)
IGMP = 2
DHCP_PORTS = {4: (68, 67), 6: (546, 547)}
"""Of the client and of the server (RFC 2131 4.1, RFC 8415 7.2)."""
BROADCAST = IPv4Address("255.255.255.255")
ETHERTYPE_802_2 = 4
LEAST_ETHERTYPE = 0x600


def unasked(reading: Reading, direction: Direction, settings: Settings) -> Unasked | None:
    """Return which exception a frame is, of those that the settings make; None: it has to be judged."""
    if reading.shape is Shape.ARP:
        return Unasked.ARP & settings.unasked or None
    if reading.packet is None:
        return None
    for which in (
        neighbour_discovery(reading),
        listener_discovery(reading),
        dhcp_client(reading, direction),
        *groups(reading),
    ):
        if which is not None and which in settings.unasked:
            return which
    return None


def neighbour_discovery(reading: Reading) -> Unasked | None:
    """RFC 4861 6.1 and 7.1: hop limit 255; RFC 6980: never in fragments."""
    kind = _plain_icmpv6(reading)
    return Unasked.NEIGHBOUR if kind in NEIGHBOUR_DISCOVERY and reading.hop_limit == 255 else None


def listener_discovery(reading: Reading) -> Unasked | None:
    """RFC 2710 3 and RFC 3810 5: hop limit 1, from a link-local address or from none yet."""
    packet = reading.packet
    assert packet is not None
    here = packet.src.is_link_local or packet.src.is_unspecified
    listening = _plain_icmpv6(reading) in LISTENER_DISCOVERY and reading.hop_limit == 1 and here
    return Unasked.MULTICAST_LISTENER if listening else None


def dhcp_client(reading: Reading, direction: Direction) -> Unasked | None:
    """Say whether this host asks a DHCP server, or is told something by one."""
    packet = reading.packet
    assert packet is not None
    if packet.protocol != UDP or reading.datagram or reading.shape is not Shape.PACKET:
        return None
    client, server = DHCP_PORTS[packet.src.version]
    asked = (packet.source_port, packet.port) == (client, server) and direction is Direction.EGRESS
    told = (packet.source_port, packet.port) == (server, client) and direction is Direction.INGRESS
    return Unasked.DHCP_CLIENT if asked or told else None


def groups(reading: Reading) -> tuple[Unasked, ...]:
    """Return what the destination alone makes of a packet."""
    packet = reading.packet
    assert packet is not None
    if packet.dst == BROADCAST:
        return (Unasked.BROADCAST,)
    if not packet.dst.is_multicast:
        return ()
    is_igmp = isinstance(packet.dst, IPv4Address) and packet.protocol == IGMP
    return (Unasked.IGMP, Unasked.MULTICAST) if is_igmp else (Unasked.MULTICAST,)


def impossible_source(source: IPv4Address | IPv6Address) -> bool:
    """Say whether no host has this address (RFC 1122 3.2.1.3, RFC 4291 2.7)."""
    return source.is_multicast or source == BROADCAST


def ethertype_passes(ethertype: int, settings: Settings) -> bool:
    """Say whether frames of this type, or length, are set to pass; 802.3 frames count as 802.2."""
    named = ETHERTYPE_802_2 if ethertype < LEAST_ETHERTYPE else ethertype
    return named in settings.ethertypes


def _plain_icmpv6(reading: Reading) -> int | None:
    """Return the type of an unfragmented ICMPv6 message of code 0."""
    packet = reading.packet
    assert packet is not None
    fits = packet.src.version == 6 and packet.protocol == ICMPV6 and not packet.port & 0xFF
    return packet.port >> 8 if fits and not reading.datagram and reading.shape is Shape.PACKET else None
