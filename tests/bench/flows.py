"""Many established sessions at once, those that reference.c sends packets of."""

from __future__ import annotations

import struct
from random import Random

from kernel.laboratory import tcp

from microseg.abi_session import State
from microseg.kernel.maps import Map
from microseg.policy.rules import Verdict

FLOWS = (10_000, 100_000)
SERVER = "192.168.0.9"
"""Greater than every client as the raw number that the kernel compares: the client is first in the key."""
CLIENT_PORT, PORT = 40000, 80
TCP = 6
AN_HOUR = 3_600_000
"""In jiffies at 1,000 a second; longer at fewer."""
KEY = struct.Struct("=4s4s2s2sB3x")
VALUE = struct.Struct("=2Q2QQ5I4B")


def flow_frame() -> bytes:
    """Return a packet of the first flow."""
    return bytes(tcp("10.0.0.0", SERVER, CLIENT_PORT, PORT, "A", b"payload"))


def make_flows(sessions: Map, plain: Map, generation: int, now: int) -> None:
    """Write as many established sessions as the largest number of flows.

    In another order than packets come in: neighbours in memory would be cheaper than they are in life.
    """
    server = bytes(int(octet) for octet in SERVER.split("."))
    ports = CLIENT_PORT.to_bytes(2, "big"), PORT.to_bytes(2, "big")
    value = VALUE.pack(*(0, 0, 0, 0, now, generation, 0, AN_HOUR, 0, 1), Verdict.ALLOW, 0, State.STEADY, 0)
    numbers = list(range(max(FLOWS)))
    Random(1).shuffle(numbers)
    keys = [KEY.pack(bytes((10, n & 255, n >> 8 & 255, n >> 16)), server, *ports, TCP) for n in numbers]
    sessions.update_many(dict.fromkeys(keys, value))
    plain.update_many(dict.fromkeys(keys, bytes(VALUE.size)))
