"""Floods of frames from spoofed sources, hundreds of thousands a second from plain Python.

A block of equal frames is one buffer, handed to the kernel with one sendmmsg(2). What differs between its
frames is written column by column: a slice with the stride of a frame. Checksums stay right without computing
any: a random 16-bit word that enters a sum is made up for by its complement in a field that means nothing
(RFC 1624).
"""

from __future__ import annotations

import ctypes
import errno
import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kernel.live_network import TwoHosts

BLOCK = 1024
FRAME = 60
PACKET_QDISC_BYPASS, SOL_PACKET = 20, 263
_MESSAGE = struct.Struct("=QI4xQQQQi4xI4x")
"""struct mmsghdr of 64-bit Linux: name, iovec and control, each with its length; flags; bytes sent."""
_ID, _SOURCE, _SPORT, _SEQUENCE = 18, 26, 34, 38

_PUBLIC = bytes(11 + octet % 96 for octet in range(256))
"""First octets that no host takes for its own, for loopback or for multicast."""
_COMPLEMENT = bytes(255 - octet for octet in range(256))

_libc = ctypes.CDLL(None, use_errno=True)


class Flood:
    """A raw socket on the far host's end of the wire, and a block of frames to send from it."""

    def __init__(self, device: socket.socket, network: TwoHosts, rng: random.Random) -> None:
        self._device = device
        self._rng = rng
        self._near, self._far = network.near, network.far
        self._block = bytearray(BLOCK * FRAME)
        self._pinned = (ctypes.c_char * len(self._block)).from_buffer(self._block)
        self._vectors, self._messages = _vectors(ctypes.addressof(self._pinned))

    def half_open(self, port: int) -> int:
        """Send a block of SYNs that a listener on this port answers; returns how many."""
        low = self._rng.randbytes(2)
        self._fill(self._syn(low, port))
        first, second = self._column(_SOURCE, _PUBLIC), self._column(_SOURCE + 1)
        self._put(_ID, first.translate(_COMPLEMENT))
        self._put(_ID + 1, second.translate(_COMPLEMENT))
        self._put(_SEQUENCE, first.translate(_COMPLEMENT))
        self._put(_SEQUENCE + 1, second.translate(_COMPLEMENT))
        for octet in (0, 1):
            sport = self._column(_SPORT + octet)
            self._put(_SEQUENCE + 2 + octet, sport.translate(_COMPLEMENT))
        return self._send()

    def denied(self, port: int) -> int:
        """Send a block of TCP and UDP packets to one port, with any flags; returns how many."""
        protocol = self._rng.choice((socket.IPPROTO_TCP, socket.IPPROTO_UDP))
        self._fill(self._packet(protocol, port))
        self._column(_SOURCE, _PUBLIC)
        for at in (*range(_SOURCE + 1, _SOURCE + 4), _SPORT, _SPORT + 1):
            self._column(at)
        return self._send()

    def _fill(self, frame: bytes) -> None:
        self._block[:] = frame.ljust(FRAME, b"\0") * BLOCK

    def _column(self, at: int, table: bytes | None = None) -> bytes:
        octets = self._rng.randbytes(BLOCK)
        return self._put(at, octets.translate(table) if table else octets)

    def _put(self, at: int, octets: bytes) -> bytes:
        self._block[at::FRAME] = octets
        return octets

    def _ip(self, protocol: int, length: int, source: bytes, identification: int) -> bytes:
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, identification, 0, 64, protocol, 0)
        header += source + socket.inet_aton(self._near.address)
        return header[:10] + checksum(header).to_bytes(2, "big") + header[12:]

    def _syn(self, low: bytes, port: int) -> bytes:
        """Return the frame for source 0.0.x.y, port 0, whose id and sequence number are all ones."""
        source = b"\0\0" + low
        tcp = struct.pack("!HHIIBBHHH", 0, port, 0xFFFFFFFF, 0, 5 << 4, 0x02, 65535, 0, 0)
        pseudo = (
            source + socket.inet_aton(self._near.address) + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp))
        )
        tcp = tcp[:16] + checksum(pseudo + tcp).to_bytes(2, "big") + tcp[18:]
        return self._link() + self._ip(socket.IPPROTO_TCP, len(tcp), source, 0xFFFF) + tcp

    def _packet(self, protocol: int, port: int) -> bytes:
        if protocol == socket.IPPROTO_TCP:
            flags = self._rng.choice((0x02, 0x10, 0x12, 0x11))
            inner = struct.pack("!HHIIBBHHH", 0, port, 1, 1, 5 << 4, flags, 65535, 0, 0)
        else:
            inner = struct.pack("!HHHH", 0, port, 8, 0)
        return self._link() + self._ip(protocol, len(inner), bytes(4), 0) + inner

    def _link(self) -> bytes:
        macs = [bytes.fromhex(host.mac.replace(":", "")) for host in (self._near, self._far)]
        return b"".join(macs) + b"\x08\x00"

    def _send(self) -> int:
        sent = 0
        while sent < BLOCK:
            at = ctypes.addressof(self._messages) + sent * _MESSAGE.size
            done = _libc.sendmmsg(self._device.fileno(), ctypes.c_void_p(at), BLOCK - sent, 0)
            if done < 0 and ctypes.get_errno() not in (errno.ENOBUFS, errno.EAGAIN):
                raise OSError(ctypes.get_errno(), "sendmmsg")
            sent += max(done, 0)
        return BLOCK


@contextmanager
def flood_from(network: TwoHosts, seed: int = 0) -> Iterator[Flood]:
    """Open a raw socket at the far end of the wire."""
    with network.at_far():
        device = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with device:
        device.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        device.bind((network.far.device, 0))
        yield Flood(device, network, random.Random(seed))


def checksum(octets: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send_until(count: int, block: Callable[[], int], between: Callable[[int], None]) -> int:
    """Send blocks until so many frames are out, calling `between` after each; returns how many were sent."""
    sent = 0
    while sent < count:
        sent += block()
        between(sent)
    return sent


def _vectors(buffer: int) -> tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]:
    """Return iovecs of the frames of a block, and the messages that name them."""
    vectors = ctypes.create_string_buffer(16 * BLOCK)
    messages = ctypes.create_string_buffer(_MESSAGE.size * BLOCK)
    for number in range(BLOCK):
        struct.pack_into("=QQ", vectors, 16 * number, buffer + FRAME * number, FRAME)
        vector = ctypes.addressof(vectors) + 16 * number
        _MESSAGE.pack_into(messages, _MESSAGE.size * number, 0, 0, vector, 1, 0, 0, 0, 0)
    return vectors, messages
