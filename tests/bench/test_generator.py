"""Packets that the generator sends arrive, in flows and out of them, there and back."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from bench.side.flows import Sender, Stream
from bench.side.lab import SERVER, Laboratory, Namespace, laboratory
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from microseg.bench.generator import generator

pytestmark = [pytest.mark.kernel, pytest.mark.compiles]
ETH_P_ALL = 0x0003
SO_RCVBUFFORCE = 33


@pytest.fixture(scope="module")
def lab() -> Iterator[Laboratory]:
    with laboratory("one", "other") as made:
        yield made


@pytest.fixture(scope="module")
def sender(lab: Laboratory) -> Iterator[Sender]:
    with generator(Path(f"/sys/fs/bpf/microseg-test-generator-{os.getpid()}")) as made:
        yield Sender(made, lab.sender)


@contextmanager
def listening(inside: Namespace, device: str) -> Iterator[Iterator[Packet]]:
    """Yield what yields the UDP datagrams that come to a device: no multicast reports of the host itself."""
    with inside.entered():
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
        listener.bind((device, ETH_P_ALL))
        listener.settimeout(1)
        yield (frame for frame in map(Ether, _heard(listener)) if UDP in frame)


def _heard(listener: socket.socket) -> Iterator[bytes]:
    """Yield frames until none has come for a second."""
    with suppress(TimeoutError):
        while True:
            yield listener.recv(2048)


@pytest.mark.parametrize("version", [4, 6])
def test_each_flow_has_its_turn_and_is_whole(lab: Laboratory, sender: Sender, version: int) -> None:
    receiver = lab.receivers["one"]
    with listening(receiver.inside, "eth0") as datagrams:
        sender.send(receiver, Stream(version, flows=24, hosts=8), 48)
        frames = list(datagrams)
    assert len(frames) == 48
    network = IP if version == 4 else IPv6
    flows = Counter((frame[network].src, frame[UDP].sport) for frame in frames)
    assert set(flows.values()) == {2}
    assert {sport for _, sport in flows} == {1024, 1025, 1026}
    for frame in frames:
        assert frame[network].dst == SERVER[version]
        again = Ether(bytes(frame))
        del again[UDP].chksum
        if version == 4:
            del again[IP].chksum
        assert bytes(again) == bytes(frame), "checksums are right"


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("flows", [0, 1000])
def test_everything_is_forwarded(lab: Laboratory, sender: Sender, version: int, flows: int) -> None:
    one, other = lab.receivers.values()
    before = one.passed(), other.passed()
    taken, following = sender.send(one, Stream(version, flows, 64), 5000)
    assert 10 < taken < 1_000_000
    assert following.start == (5000 * 919 % 1000 if flows else 5000)
    assert (one.passed(), other.passed()) == (before[0] + 5000, before[1])


@pytest.mark.parametrize("version", [4, 6])
def test_answers_go_back_through_the_receiver(lab: Laboratory, sender: Sender, version: int) -> None:
    receiver = lab.receivers["other"]
    with listening(lab.sender, f"w{receiver.number}") as datagrams:
        sender.answer(receiver, Stream(version, flows=100, hosts=64), 300)
        sources = Counter(frame[IP if version == 4 else IPv6].src for frame in datagrams)
    assert sources == {SERVER[version]: 300}
