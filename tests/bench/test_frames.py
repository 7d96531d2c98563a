"""The generator's frames against scapy's: the checksums a flow's packet gets are the ones it must have."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import unpack

from hypothesis import given
from hypothesis.strategies import integers, sampled_from
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from microseg.bench.frames import Template
from microseg.policy.services import Protocol

DESTINATIONS = {4: ip_address("198.18.0.1"), 6: ip_address("2001:2::1")}


def fold(total: int) -> int:
    """The checksum of a sum, as bpf/generator.c makes it."""
    for _ in range(2):
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def words(octets: bytes) -> int:
    return sum(unpack(f"={len(octets) // 2}H", octets))


@given(
    sampled_from([4, 6]),
    sampled_from([Protocol.UDP, Protocol.TCP]),
    integers(0, 2**32 - 1),
    integers(0, 65535),
    sampled_from([80, 81, 200, 1514]),
)
def test_sums_give_the_checksums_of_each_flow(
    version: int, protocol: Protocol, address: int, port: int, length: int
) -> None:
    prefix = int(ip_address("2001:2:0:1::")) if version == 6 else 0
    source = IPv6Address(prefix + address) if version == 6 else IPv4Address(address)
    template = Template("02:00:00:00:be:01", source, DESTINATIONS[version], 5000, protocol, length=length)
    kind = {Protocol.UDP: UDP, Protocol.TCP: TCP}[protocol]

    wanted = Ether(template.frame)
    wanted[IP if version == 4 else IPv6].src = str(source)
    wanted[kind].sport = port
    wanted[kind].chksum = None
    if version == 4:
        wanted[IP].chksum = None
    wanted = Ether(bytes(wanted))

    varying = words(source.packed[-4:]) + words(port.to_bytes(2, "big"))
    ours = fold(template.transport_sum + varying)
    theirs = wanted[kind].chksum
    assert int.from_bytes(ours.to_bytes(2, "little"), "big") in {theirs, theirs % 0xFFFF}
    if version == 4:
        header = fold(template.network_sum + words(source.packed))
        assert int.from_bytes(header.to_bytes(2, "little"), "big") == wanted[IP].chksum
    assert len(template.frame) == length
