"""What a socket notices when its traffic is rejected: ECONNREFUSED at once, on either side of the filter."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from kernel.bare_device import tun
from kernel.laboratory import ANY, Laboratory, allow, reject, run
from kernel.live_network import Host, TwoHosts, received, two_hosts
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet as Frame

from microseg.abi_outcome import Outcome
from microseg.abi_settings import ANSWER_MARK
from microseg.kernel.bpf import Attributes, Command, Descriptor
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.kernel.packet_run import XDP_PASS
from microseg.kernel.tcx import tcx_supported
from microseg.reconcile.dataplane import Attachment, Hook

pytestmark = pytest.mark.only_tc  # attaches by itself
HOOKS = [
    pytest.param(Hook.TCX, marks=pytest.mark.skipif(not tcx_supported(), reason="kernel without TCX")),
    Hook.CLSACT,
]
Ask = Callable[[TwoHosts, str, socket.AddressFamily], tuple[int, float]]
FAMILIES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}
ANY6 = "::/0"
PORT = 7777
PROGRAM_TYPE_XDP = 6
AT_ONCE_S = 1.0
"""Far less than a lost SYN or an unanswered datagram would take to be noticed."""


@pytest.fixture(params=HOOKS)
def hosts(plane: PinnedDataPlane, namespace: None, request: pytest.FixtureRequest) -> Iterator[TwoHosts]:  # noqa: ARG001
    """Two hosts, the near one under the filter."""
    with two_hosts() as made:
        for family in FAMILIES.values():
            error_of_connect(made, "near", family)  # they find each other, which takes up to a second
        plane.attach([Attachment(made.near.device, request.param)])
        yield made
        plane.detach([made.near.device])


@contextmanager
def at(hosts: TwoHosts, side: str) -> Iterator[Host]:
    """Have the sockets made meanwhile belong to one host; yields the other one."""
    with ExitStack() as stack:
        if side == "far":
            stack.enter_context(hosts.at_far())
        yield hosts.near if side == "far" else hosts.far


def address_of(host: Host, family: socket.AddressFamily) -> str:
    return host.address if family == socket.AF_INET else host.address6


def error_of_connect(hosts: TwoHosts, side: str, family: socket.AddressFamily) -> tuple[int, float]:
    """Return the errno of a connection attempt from one side, and after how many seconds it came."""
    with at(hosts, side) as other, socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        began = time.monotonic()
        try:
            client.connect((address_of(other, family), PORT))
        except TimeoutError:
            return errno.ETIMEDOUT, time.monotonic() - began
        except OSError as error:
            return error.errno or 0, time.monotonic() - began
    return 0, time.monotonic() - began


def error_of_datagram(hosts: TwoHosts, side: str, family: socket.AddressFamily) -> tuple[int, float]:
    with at(hosts, side) as other, socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        began = time.monotonic()
        client.connect((address_of(other, family), PORT))
        client.send(b"?")
        try:
            client.recv(10)
        except TimeoutError:
            return errno.ETIMEDOUT, time.monotonic() - began
        except OSError as error:
            return error.errno or 0, time.monotonic() - began
    return 0, time.monotonic() - began


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", ["near", "far"])
@pytest.mark.parametrize("ask", [error_of_connect, error_of_datagram], ids=["tcp", "udp"])
def test_rejected_socket_is_told_at_once(
    lab: Laboratory, hosts: TwoHosts, ask: Ask, side: str, family: str
) -> None:
    lab.enforce(reject(ANY, ANY, "tcp"), reject(ANY, ANY, "udp"), reject(ANY6, ANY6), default="deny")
    before = lab.stats()
    number, seconds = ask(hosts, side, FAMILIES[family])
    after = lab.stats()
    assert errno.errorcode.get(number) == "ECONNREFUSED"
    assert seconds < AT_ONCE_S
    assert after.answers_sent - before.answers_sent >= 1
    passed = after.outcomes[Outcome.PASS_ANSWER] - before.outcomes[Outcome.PASS_ANSWER]
    assert passed == after.answers_sent - before.answers_sent, (
        "every answer meets the other direction's program"
    )
    assert lab.sessions() == []


def attach_xdp_that_passes(device: str, pin: Path) -> None:
    """Attach a program of two instructions: r0 = XDP_PASS, exit."""
    code = ctypes.create_string_buffer(struct.pack("=BBhi", 0xB7, 0, 0, XDP_PASS) + b"\x95" + bytes(7))
    text = ctypes.create_string_buffer(b"GPL")
    loading = Attributes("IIQQ", PROGRAM_TYPE_XDP, 2, ctypes.addressof(code), ctypes.addressof(text))
    with Descriptor(loading.call_or_raise(Command.PROG_LOAD, "load a program")) as program:
        program.pin(pin)
    run("ip", "link", "set", device, "xdpdrv", "pinned", str(pin))
    pin.unlink()


@pytest.fixture
def xdp_hosts(plane: PinnedDataPlane, bpffs: Path, namespace: None) -> Iterator[TwoHosts]:  # noqa: ARG001
    """Two hosts, the near one under XDP; veth gives what that sends at once to an XDP program only."""
    with two_hosts() as made:
        with made.at_far():
            attach_xdp_that_passes(made.far.device, bpffs / "passes")
        for family in FAMILIES.values():
            error_of_connect(made, "near", family)
        plane.attach([Attachment(made.near.device, Hook.XDP)])
        yield made
        plane.detach([made.near.device])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", ["near", "far"])
@pytest.mark.parametrize("ask", [error_of_connect, error_of_datagram], ids=["tcp", "udp"])
def test_xdp_tells_a_rejected_socket_at_once(
    lab: Laboratory, xdp_hosts: TwoHosts, ask: Ask, side: str, family: str
) -> None:
    lab.enforce(reject(ANY, ANY, "tcp"), reject(ANY, ANY, "udp"), reject(ANY6, ANY6), default="deny")
    before = lab.stats().answers_sent
    number, seconds = ask(xdp_hosts, side, FAMILIES[family])
    assert errno.errorcode.get(number) == "ECONNREFUSED"
    assert seconds < AT_ONCE_S
    assert lab.stats().answers_sent > before


def test_denied_socket_is_told_nothing(lab: Laboratory, hosts: TwoHosts) -> None:
    lab.enforce()
    with at(hosts, "near") as other, socket.socket() as client:
        client.settimeout(AT_ONCE_S)
        with pytest.raises(TimeoutError):
            client.connect((other.address, PORT))


@pytest.mark.parametrize("side", ["near", "far"])
def test_revoked_connection_ends_for_both_when_rejected(lab: Laboratory, hosts: TwoHosts, side: str) -> None:
    lab.enforce(allow(ANY, ANY, "tcp"))
    (connection,) = hosts.connect(1, [PORT])
    connection.echo(b"hello")
    lab.enforce(reject(ANY, ANY, "tcp"))
    end = connection.server if side == "near" else connection.client
    end.sendall(b"more")
    with pytest.raises(ConnectionResetError):
        received(end, 1)
    connection.client.close()
    connection.server.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_answer_keeps_no_mark(lab: Laboratory, hosts: TwoHosts, family: str) -> None:
    """A routing rule for marked packets must not see the one that answers carry from hook to hook."""
    version = "-4" if family == "IPv4" else "-6"
    run("ip", version, "rule", "add", "fwmark", str(ANSWER_MARK), "blackhole")
    lab.enforce(reject(ANY, ANY), reject(ANY6, ANY6))
    number, seconds = error_of_connect(hosts, "near", FAMILIES[family])
    assert errno.errorcode.get(number) == "ECONNREFUSED"
    assert seconds < AT_ONCE_S


@contextmanager
def bare_device(plane: PinnedDataPlane, hook: Hook) -> Iterator[int]:
    """A filtered device without a link header; yields its other side, which doesn't block."""
    with tun("bare0") as device:
        for address in ("10.78.0.1/24", "fd78::1/64"):
            run("ip", "address", "add", address, "dev", "bare0", *(["nodad"] if ":" in address else []))
        run("ip", "link", "set", "bare0", "up")
        plane.attach([Attachment("bare0", hook)])
        os.set_blocking(device, False)
        yield device
        plane.detach(["bare0"])


def packets_read(device: int) -> list[Frame]:
    """Return the IP packets that wait on the other side."""
    packets: list[Frame] = []
    with suppress(BlockingIOError):
        while True:
            raw = os.read(device, 2000)
            packets.append(IP(raw) if raw[0] >> 4 == 4 else IPv6(raw))
    return packets


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("hook", HOOKS)
def test_answers_without_a_link_header(lab: Laboratory, plane: PinnedDataPlane, hook: Hook) -> None:
    with bare_device(plane, hook) as device:
        lab.enforce(default="reject")
        for network in (IP(src="10.78.0.2", dst="10.78.0.1"), IPv6(src="fd78::2", dst="fd78::1")):
            os.write(device, bytes(network / TCP(sport=40000, dport=PORT, seq=7)))
        resets = [packet[TCP] for packet in packets_read(device) if TCP in packet]
        assert [(reset.flags, reset.ack, reset.dport) for reset in resets] == [("RA", 8, 40000)] * 2
        for family, address in ((socket.AF_INET, "10.78.0.2"), (socket.AF_INET6, "fd78::2")):
            with socket.socket(family, socket.SOCK_STREAM) as client:
                client.settimeout(5)
                with pytest.raises(ConnectionRefusedError):
                    client.connect((address, PORT))
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.settimeout(5)
                client.connect((address, PORT))
                client.send(b"?")
                with pytest.raises(ConnectionRefusedError):
                    client.recv(10)
