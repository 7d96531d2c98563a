"""Frames that are cut, patched or built of unusual headers, between two hosts."""

from __future__ import annotations

from typing import Any

from kernel.laboratory import ANY, Laboratory, allow, link
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet as Frame

from microseg.abi_outcome import Outcome

CLIENT, SERVER = "10.1.1.1", "10.1.2.1"
CLIENT6, SERVER6 = "2001:db8:1::1", "2001:db8:2::1"
ANY6 = "::/0"
TCP80 = TCP(sport=40000, dport=80, flags="S")


def v4(**fields: Any) -> Frame:
    return IP(src=CLIENT, dst=SERVER, **fields)


def v6(**fields: Any) -> Frame:
    return IPv6(src=CLIENT6, dst=SERVER6, **fields)


def forward(payload: Frame, **ip: Any) -> Frame:
    """Return a frame of the client."""
    return link() / v4(**ip) / payload


def back(payload: Frame, **ip: Any) -> Frame:
    """Return a frame of the server."""
    return link() / IP(src=SERVER, dst=CLIENT, **ip) / payload


def cut(frame: Frame, length: int) -> bytes:
    return bytes(frame)[:length]


def patched(frame: Frame, offset: int, value: bytes) -> bytes:
    raw = bytearray(bytes(frame))
    raw[offset : offset + len(value)] = value
    return bytes(raw)


def allow_web_and_names(lab: Laboratory) -> None:
    lab.enforce(allow(ANY, ANY, "tcp/80"), allow(ANY6, ANY6, "tcp/80"), allow(ANY, ANY, "udp/53"))


def assert_recognised(lab: Laboratory, frame: Frame | bytes) -> None:
    """Send a frame that holds TCP80, and see that it opened that session."""
    assert lab.outcome(frame) is Outcome.PASS_NEW
    session = lab.session()
    assert (session.client[1], session.server[1], session.protocol) == (40000, 80, 6)


def assert_dropped(lab: Laboratory, frame: Frame | bytes, expected: Outcome) -> None:
    """Send a frame, and see that it was dropped for this reason, counted once, reported and forgotten."""
    before = lab.stats()
    lab.flows.run(bytes(frame))
    after = lab.stats()
    assert after.outcomes[expected] - before.outcomes[expected] == 1
    assert after.packets - before.packets == 1
    (event,) = lab.events()
    assert (event.outcome, event.verdict, event.rule) == (expected, None, 0)
    assert lab.sessions() == []
