"""Frames of capture files, as Ethernet frames of a size that PROG_TEST_RUN takes.

A reader of our own, because the captures worth having are broken on purpose: what can be read is taken, and
the rest of the file is left.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MACS = bytes.fromhex("020000000002020000000001")
LINUX_COOKED = 113
RAW_IP = (12, 14, 101, 228, 229)
"""Link types without a link header; see https://www.tcpdump.org/linktypes.html."""
SHORTEST, LONGEST = 14, 1800
PER_FILE = 200
PCAPNG = 0x0A0D0D0A
MAGICS = (0xA1B2C3D4, 0xA1B23C4D)
INTERFACE, SIMPLE_PACKET, ENHANCED_PACKET = 1, 3, 6


def captured_frames(folder: Path) -> list[bytes]:
    """Return the frames of all captures below a folder, the first few of each."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".pcap", ".pcapng", ".cap"))
    frames = [frame for file in files for frame in _frames_of(file.read_bytes())]
    return [frame for frame in frames if SHORTEST <= len(frame) <= LONGEST]


def _frames_of(octets: bytes) -> list[bytes]:
    frames: list[bytes] = []
    try:
        (magic,) = struct.unpack_from("=I", octets)
        for link, captured in (_pcapng if magic == PCAPNG else _pcap)(octets):
            frames.append(_as_ethernet(captured, link))
            if len(frames) == PER_FILE:
                break
    except struct.error:
        pass  # the file ends here, or what follows isn't a capture
    return frames


def _pcap(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (link type, packet) of a pcap file."""
    (magic,) = struct.unpack_from("<I", octets)
    order = "<" if magic in MAGICS else ">"
    (link,) = struct.unpack_from(order + "I", octets, 20)
    at = 24
    while True:
        (length,) = struct.unpack_from(order + "I", octets, at + 8)
        yield link & 0xFFFF, octets[at + 16 : at + 16 + length]
        at += 16 + length


def _pcapng(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (link type, packet) of a pcapng file; its blocks name their length before and behind."""
    order = "<" if octets[8:12] == b"\x4d\x3c\x2b\x1a" else ">"
    links: list[int] = []
    at = 0
    while True:
        kind, size = struct.unpack_from(order + "II", octets, at)
        if kind == INTERFACE:
            links += struct.unpack_from(order + "H", octets, at + 8)
        elif kind == ENHANCED_PACKET and links:
            (interface,) = struct.unpack_from(order + "I", octets, at + 8)
            (length,) = struct.unpack_from(order + "I", octets, at + 20)
            yield links[interface % len(links)], octets[at + 28 : at + 28 + length]
        elif kind == SIMPLE_PACKET and links:
            yield links[0], octets[at + 12 : at + size - 4]
        at += max(size, 12)


def _as_ethernet(octets: bytes, link: int) -> bytes:
    """Return an Ethernet frame around what was captured; of other links, the bytes as they are."""
    if link == LINUX_COOKED and len(octets) >= 16:
        return MACS + octets[14:]
    if link in RAW_IP and octets:
        return MACS + (b"\x08\x00" if octets[0] >> 4 == 4 else b"\x86\xdd") + octets
    return octets
