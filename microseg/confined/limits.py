"""What one compilation may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one compilation may take.

    Attributes:
        cpu_s: of processor time, of all that one process compiles.
        life_s: of processor time after which a process makes room for another when it has answered.
        memory: bytes of address space.
        wall_s: from the request to the answer.
        files: policy files.
        text: bytes of policy text, lists of addresses included.

    """

    cpu_s: int = 60
    life_s: float = 30.0
    memory: int = 2 << 30
    wall_s: float = 300.0
    files: int = 20_000
    text: int = 256 << 20
