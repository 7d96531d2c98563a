"""Packets that the generator sends arrive, in flows and out of them, there and back."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import pytest
from bench.side.flows import Sender, Stream
from bench.side.lab import SERVER, Laboratory, laboratory
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from microseg.bench.generator import generator

pytestmark = [pytest.mark.kernel, pytest.mark.compiles]
ETH_P_ALL = 0x0003


@pytest.fixture(scope="module")
def lab() -> Iterator[Laboratory]:
    with laboratory("one", "other") as made:
        yield made


@pytest.fixture(scope="module")
def sender(lab: Laboratory) -> Iterator[Sender]:
    with generator(Path(f"/sys/fs/bpf/microseg-test-generator-{os.getpid()}")) as made:
        yield Sender(made, lab.sender)


@pytest.mark.parametrize("version", [4, 6])
def test_each_flow_has_its_turn_and_is_whole(lab: Laboratory, sender: Sender, version: int) -> None:
    receiver = lab.receivers["one"]
    with receiver.inside.entered():
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    with listener:
        listener.bind(("eth0", ETH_P_ALL))
        listener.settimeout(1)
        sender.send(receiver, Stream(version, flows=24, hosts=8), 48)
        arriving = (Ether(listener.recv(2048)) for _ in count())
        frames = list(islice((frame for frame in arriving if UDP in frame), 48))  # not IPv6's own
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
    before = receiver.answered()
    sender.answer(receiver, Stream(version, flows=100, hosts=64), 300)
    assert receiver.answered() - before == 300
