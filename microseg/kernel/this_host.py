"""What this host is to others: its addresses, and the connection that a command was typed over."""

from __future__ import annotations

import ipaddress
import re
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from microseg.policy.addresses import AddressSet
from microseg.policy.packet import Packet
from microseg.policy.services import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from microseg.policy.addresses import IPAddress

_ESTABLISHED, _LISTEN = "01", "0A"
"""States of a socket in /proc/net/tcp (include/net/tcp_states.h)."""

_OWN_IPV4 = re.compile(r"\|-- ([\d.]+)\n\s+/32 host LOCAL")
"""An address of this host in /proc/net/fib_trie."""

_BYTE_ORDER = sys.byteorder
_SOCKET = re.compile(r"socket:\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class _Socket:
    """A line of /proc/net/tcp or tcp6."""

    local: tuple[IPAddress, int]
    remote: tuple[IPAddress, int]
    state: str
    inode: str


def addresses() -> AddressSet:
    """Return the addresses that others reach this host by; raises OSError."""
    found: set[IPAddress] = {
        ipaddress.ip_address(text) for text in _OWN_IPV4.findall(_text(Path("/proc/net/fib_trie")))
    }
    for line in _text(Path("/proc/net/if_inet6")).splitlines():
        found.add(ipaddress.IPv6Address(bytes.fromhex(line.split()[0])))
    return AddressSet.of(*(str(one) for one in found if not one.is_loopback and not one.is_link_local))


def session(environment: Mapping[str, str], process: int, own: AddressSet) -> Packet | None:
    """Return the packet that opened the connection a process was started over, None when there is none.

    sudo takes SSH_CONNECTION out of the environment, so the nearest process above is looked for that holds a
    connection it has accepted from another host.

    Args:
        environment: of the process.
        process: its number.
        own: addresses of this host; a connection to others ends in another network namespace.

    """
    packets = chain(
        _named(environment), map(_opener, chain.from_iterable(map(_accepted, _ancestors(process))))
    )
    return next((packet for packet in packets if packet.dst in own), None)


def _named(environment: Mapping[str, str]) -> Iterator[Packet]:
    """Yield what sshd says: client, its port, server, its port."""
    words = environment.get("SSH_CONNECTION", "").split()
    try:
        client, client_port, server, port = words
        ends = _address(server), int(port), _address(client), int(client_port)
    except ValueError:
        return
    yield Packet(ends[2], ends[0], Protocol.TCP, ends[1], ends[3])


def _opener(one: _Socket) -> Packet:
    return Packet(one.remote[0], one.local[0], Protocol.TCP, one.local[1], one.remote[1])


def _ancestors(process: int) -> Iterator[int]:
    while process > 1:
        try:
            stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        process = int(stat.rpartition(")")[2].split()[1])
        yield process


def _accepted(process: int) -> Iterator[_Socket]:
    """Yield the connections from other hosts that a process holds and somebody here listened for."""
    inodes = _inodes(process)
    if not inodes:
        return
    known = [one for name in ("tcp", "tcp6") for one in _sockets(_text(Path(f"/proc/{process}/net/{name}")))]
    listening = {one.local[1] for one in known if one.state == _LISTEN}
    for one in known:
        accepted = one.state == _ESTABLISHED and one.local[1] in listening
        if accepted and one.inode in inodes and not one.remote[0].is_loopback:
            yield one


def _inodes(process: int) -> set[str]:
    found: set[str] = set()
    try:
        descriptors = list(Path(f"/proc/{process}/fd").iterdir())
    except OSError:
        return found
    for descriptor in descriptors:
        try:
            socket = _SOCKET.fullmatch(str(descriptor.readlink()))
        except OSError:
            continue
        if socket:
            found.add(socket[1])
    return found


def _sockets(text: str) -> Iterator[_Socket]:
    for line in text.splitlines()[1:]:
        words = line.split()
        yield _Socket(_end(words[1]), _end(words[2]), words[3], words[9])


def _end(text: str) -> tuple[IPAddress, int]:
    """Read an address as the kernel prints it: words of 32 bits in host order, then the port."""
    number, port = text.split(":")
    packed = b"".join(
        int(number[at : at + 8], 16).to_bytes(4, _BYTE_ORDER) for at in range(0, len(number), 8)
    )
    return _plain(ipaddress.ip_address(packed)), int(port, 16)


def _address(text: str) -> IPAddress:
    return _plain(ipaddress.ip_address(text.partition("%")[0]))


def _plain(address: IPAddress) -> IPAddress:
    """Return an IPv4 address that an IPv6 socket shows as what it is on the wire."""
    return getattr(address, "ipv4_mapped", None) or address


def _text(path: Path) -> str:
    """Return a file of /proc, empty when this kernel has no such protocol."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
