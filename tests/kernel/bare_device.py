"""A device whose frames are bare IP packets, and whose other side is this process."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000


@contextmanager
def tun(name: str) -> Iterator[int]:
    """Make a device whose frames are bare IP packets; yields the descriptor of its other side."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        yield descriptor
    finally:
        os.close(descriptor)
