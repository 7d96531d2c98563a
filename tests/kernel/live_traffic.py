"""Traffic on many connections at once, and a witness of what leaves a device."""

from __future__ import annotations

import ctypes
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from kernel.live_network import Connection

TURN = b"."
ETH_P_ALL, SO_ATTACH_FILTER, SO_RCVBUFFORCE, SO_TIMESTAMPNS = 3, 26, 33, 35
_BYTES_RECEIVED = struct.Struct("=Q")
_BYTES_RECEIVED_OFFSET = 128
"""tcpi_bytes_received in struct tcp_info, since Linux 4.1."""
_TCP_BYTES, _TIMESTAMP = 54, struct.Struct("=qq")


@dataclass
class PingPong:
    """Passes one byte to and fro on each connection, from a thread of its own, until it is stopped."""

    connections: list[Connection]
    turns: list[int] = field(default_factory=list)
    """Round trips of each connection."""
    passes: int = 0
    """Bytes passed on, in either direction."""
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.turns = [0] * len(self.connections)
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _play(self) -> None:
        poll = select.epoll()
        ends: dict[int, tuple[socket.socket, int]] = {}
        for number, connection in enumerate(self.connections):
            for end in (connection.client, connection.server):
                end.settimeout(0)
                ends[end.fileno()] = end, number
                poll.register(end.fileno(), select.EPOLLIN)
            connection.client.send(TURN)
        with poll:
            while not self._stopping.is_set():
                for descriptor, _ in poll.poll(0.05, 64):
                    end, number = ends[descriptor]
                    end.recv(len(TURN))
                    end.send(TURN)
                    self.passes += 1
                    if end is self.connections[number].client:
                        self.turns[number] += 1


@dataclass(frozen=True, slots=True)
class Seen:
    """A TCP packet that left: when (nanoseconds of CLOCK_REALTIME), its local port, its bytes of payload."""

    time_ns: int
    port: int
    payload: int


class Witness:
    """Sees what leaves a device behind the filter, as the kernel hands it to the driver.

    That is inside the same RCU read section as the filter (__dev_queue_xmit), so a packet seen later than
    wait_for_readers() returned was judged under the new policy.
    """

    def __init__(self, tap: socket.socket) -> None:
        self._tap = tap

    def seen(self) -> Iterator[Seen]:
        """Yield the TCP packets over IPv4 that left since the last call."""
        while True:
            try:
                frame, notes, _, address = self._tap.recvmsg(_TCP_BYTES, 64)
            except BlockingIOError:
                return
            if address[2] != socket.PACKET_OUTGOING or len(frame) < _TCP_BYTES:
                continue
            seconds, nanoseconds = _TIMESTAMP.unpack(notes[0][2])
            (total,) = struct.unpack_from("!H", frame, 16)
            (port,) = struct.unpack_from("!H", frame, 34)
            yield Seen(seconds * 1_000_000_000 + nanoseconds, port, total - 20 - (frame[46] >> 4) * 4)


@contextmanager
def witness_of(device: str, port: int) -> Iterator[Witness]:
    """Watch a device of this namespace for IPv4 TCP packets without options from one local port."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        _only_from_port(tap, port)
        tap.bind((device, ETH_P_ALL))
        tap.settimeout(0)
        yield Witness(tap)


def _only_from_port(tap: socket.socket, port: int) -> None:
    """Attach a classic BPF filter: ethertype IPv4, protocol TCP, source port."""
    load_half, load_byte, jump_if_equal, answer = 0x28, 0x30, 0x15, 0x06
    program = [
        (load_half, 0, 0, 12),
        (jump_if_equal, 0, 5, 0x0800),
        (load_byte, 0, 0, 23),
        (jump_if_equal, 0, 3, socket.IPPROTO_TCP),
        (load_half, 0, 0, 34),
        (jump_if_equal, 0, 1, port),
        (answer, 0, 0, 0xFFFF),
        (answer, 0, 0, 0),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    tap.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("=H6xQ", len(program), ctypes.addressof(code))
    )


def bytes_received(end: socket.socket) -> int:
    """Return the payload that a TCP socket has ever got, read or not."""
    (octets,) = _BYTES_RECEIVED.unpack_from(
        end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), _BYTES_RECEIVED_OFFSET
    )
    return int(octets)
