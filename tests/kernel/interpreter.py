"""Runs the program's instructions one by one (RFC 9669), to count them and the lookups of a packet's way.

Maps hold what a test puts there. All addresses fit 32 bits, as those of a packet in struct __sk_buff have to.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

REGION_BITS = 16
"""Of an address: the offset in its region; the rest is the region's number."""
STACK = 512
CONTEXT, LENGTH, PROTOCOL, IFINDEX, DATA, DATA_END = 192, 0, 16, 40, 76, 80
"""Size of struct __sk_buff, and offsets in it."""
WORD = (1 << 64) - 1
HALF = (1 << 32) - 1
SIZES = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
ATOMIC = 0xC3
END = 0xD0
"""Changes the order of octets."""
ARITHMETIC: dict[int, Callable[[int, int, int], int]] = {
    0x00: lambda left, right, _: left + right,
    0x10: lambda left, right, _: left - right,
    0x20: lambda left, right, _: left * right,
    0x30: lambda left, right, _: left // right if right else 0,
    0x40: lambda left, right, _: left | right,
    0x50: lambda left, right, _: left & right,
    0x60: lambda left, right, bits: left << (right & bits - 1),
    0x70: lambda left, right, bits: left >> (right & bits - 1),
    0x80: lambda left, _, __: -left,
    0x90: lambda left, right, _: left % right if right else left,
    0xA0: lambda left, right, _: left ^ right,
    0xB0: lambda _, right, __: right,
    0xC0: lambda left, right, bits: _signed(left, bits) >> (right & bits - 1),
}
NEVER_RETURNS = 100_000
"""Instructions after which a program must have ended."""


class Helper(IntEnum):
    """Functions of the kernel that are called here (include/uapi/linux/bpf.h)."""

    LOOKUP = 1
    UPDATE = 2
    DELETE = 3
    TAIL_CALL = 12
    CPU = 8
    LOAD_BYTES = 26
    JIFFIES = 118
    BOOT_NS = 125
    RINGBUF_RESERVE = 131
    RINGBUF_SUBMIT = 132


@dataclass
class Way:
    """What a packet's way took.

    Attributes:
        instructions: executed, in all programs.
        lookups: of each map.
        written: updates and deletions of each map.
        result: what the last program returned.

    """

    instructions: int = 0
    lookups: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    result: int = 0


class Machine:
    """Programs, their maps, and memory."""

    def __init__(self, code: dict[str, bytes], maps: dict[int, str], jumps: list[str]) -> None:
        self._code = code
        self._maps = maps
        self._jumps = jumps
        self._regions: list[bytearray] = [bytearray()]
        self._values: dict[tuple[str, bytes], int] = {}
        self._key_sizes: dict[str, int] = {}

    def put(self, name: str, key: bytes, value: bytes) -> None:
        """Put an entry into a map; one without entries has none."""
        self._values[name, key] = self._region(value)
        self._key_sizes[name] = len(key)

    def run(self, function: str, frame: bytes) -> Way:
        """Send an Ethernet frame through a program, and on to those it jumps to."""
        way, context = Way(), bytearray(CONTEXT)
        data = self._region(frame)
        for offset, value in (
            (LENGTH, len(frame)),
            (PROTOCOL, int.from_bytes(frame[12:14], "little")),
            (IFINDEX, 1),
            (DATA, data),
            (DATA_END, data + len(frame)),
        ):
            struct.pack_into("=I", context, offset, value)
        following: str | None = function
        while following:
            following = _Run(self, way, self._region(bytes(context)), data).run(self._code[following])
        return way

    def _region(self, content: bytes) -> int:
        self._regions.append(bytearray(content))
        return len(self._regions) - 1 << REGION_BITS

    def load(self, address: int, size: int) -> int:
        return int.from_bytes(self.octets(address, size), "little")

    def octets(self, address: int, size: int) -> bytes:
        region, offset = address >> REGION_BITS, address & (1 << REGION_BITS) - 1
        octets = bytes(self._regions[region][offset : offset + size])
        assert len(octets) == size, f"{size} octets at {address:#x}"
        return octets

    def store(self, address: int, size: int, value: int) -> None:
        region, offset = address >> REGION_BITS, address & (1 << REGION_BITS) - 1
        assert offset + size <= len(self._regions[region]), f"{size} octets at {address:#x}"
        self._regions[region][offset : offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    def stack(self) -> int:
        """Return the address behind a new stack."""
        return self._region(bytes(STACK)) + STACK

    def name(self, descriptor: int) -> str:
        return self._maps[descriptor]

    def value(self, name: str, key: int) -> int:
        """Return the address of a map's value, 0 when it has none."""
        if name not in self._key_sizes:
            return 0
        return self._values.get((name, self.octets(key, self._key_sizes[name])), 0)

    def jump(self, index: int) -> str:
        return self._jumps[index]

    def scratchpad(self, size: int) -> int:
        return self._region(bytes(size))


class _Run:
    """One program, until it returns or jumps."""

    def __init__(self, machine: Machine, way: Way, context: int, data: int) -> None:
        self._machine = machine
        self._way = way
        self._data = data
        self._registers = [0] * 11
        self._registers[1] = context
        self._registers[10] = machine.stack()

    def run(self, code: bytes) -> str | None:
        """Return the program it jumps to; None when it returns."""
        registers, at = self._registers, 0
        while True:
            opcode, names, offset, immediate = struct.unpack_from("=BBhi", code, 8 * at)
            target, source = names & 15, names >> 4
            at += 1
            self._way.instructions += 1
            assert self._way.instructions < NEVER_RETURNS
            if opcode == 0x95:
                self._way.result = registers[0]
                return None
            if opcode == 0x18:
                (high,) = struct.unpack_from("=i", code, 8 * at + 4)
                registers[target] = (immediate & HALF) | (high & HALF) << 32
                at += 1
            elif opcode == 0x85:
                if immediate == Helper.TAIL_CALL:
                    return self._machine.jump(registers[3])
                registers[0] = self._call(Helper(immediate))
            elif opcode & 7 in (5, 6):
                at += offset if self._jumps(opcode, target, source, immediate) else 0
            elif opcode & 7 in (4, 7):
                self._calculate(opcode, target, source, immediate)
            else:
                self._move(opcode, target, source, offset, immediate)

    def _move(self, opcode: int, target: int, source: int, offset: int, immediate: int) -> None:
        size, registers = SIZES[opcode & 0x18], self._registers
        if opcode & 0xE7 == ATOMIC:
            assert immediate == 0, f"atomic operation {immediate:#x} is not adding"
            place = registers[target] + offset
            self._machine.store(place, size, self._machine.load(place, size) + registers[source])
            return
        assert opcode & 0xE0 == 0x60, f"{opcode:#x} is no plain access to memory"
        if opcode & 7 == 1:
            registers[target] = self._machine.load(registers[source] + offset, size)
        else:
            value = registers[source] if opcode & 7 == 3 else immediate
            self._machine.store(registers[target] + offset, size, value)

    def _calculate(self, opcode: int, target: int, source: int, immediate: int) -> None:
        wide, operation = opcode & 7 == 7, opcode & 0xF0
        mask, bits = (WORD, 64) if wide else (HALF, 32)
        left = self._registers[target] & mask
        right = (self._registers[source] if opcode & 8 else immediate) & mask
        if operation == END:
            octets = (self._registers[target] & (1 << immediate) - 1).to_bytes(immediate // 8, "little")
            self._registers[target] = int.from_bytes(octets, "big" if opcode & 8 else "little")
            return
        self._registers[target] = ARITHMETIC[operation](left, right, bits) & mask

    def _jumps(self, opcode: int, target: int, source: int, immediate: int) -> bool:
        bits = 64 if opcode & 7 == 5 else 32
        mask = (1 << bits) - 1
        left = self._registers[target] & mask
        right = (self._registers[source] if opcode & 8 else immediate) & mask
        signed = _signed(left, bits), _signed(right, bits)
        return {
            0x00: True,
            0x10: left == right,
            0x20: left > right,
            0x30: left >= right,
            0x40: bool(left & right),
            0x50: left != right,
            0x60: signed[0] > signed[1],
            0x70: signed[0] >= signed[1],
            0xA0: left < right,
            0xB0: left <= right,
            0xC0: signed[0] < signed[1],
            0xD0: signed[0] <= signed[1],
        }[opcode & 0xF0]

    def _call(self, helper: Helper) -> int:
        machine, (_, first, second, third, fourth, *_) = self._machine, self._registers
        match helper:
            case Helper.LOOKUP:
                name = machine.name(first)
                self._way.lookups[name] += 1
                return machine.value(name, second)
            case Helper.UPDATE | Helper.DELETE:
                self._way.written[machine.name(first)] += 1
            case Helper.LOAD_BYTES:
                octets = machine.octets(self._data + second, fourth)
                machine.store(third, fourth, int.from_bytes(octets, "little"))
            case Helper.RINGBUF_RESERVE:
                return machine.scratchpad(second)
            case Helper.JIFFIES:
                return 1_000_000
            case Helper.BOOT_NS:
                return 4_000_000_000
            case Helper.RINGBUF_SUBMIT | Helper.TAIL_CALL | Helper.CPU:
                pass
        return 0


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value
