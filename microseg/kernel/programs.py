"""Which programs there are: two units of the same C code, one for each kind of context."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

XDP_FOLDER = "xdp"
"""Where the programs of XDP are, below those of TC."""


class ProgramType(Enum):
    """What a program runs on; the value is bcc's name of it."""

    TC = "SCHED_CLS"
    XDP = "XDP"


@dataclass(frozen=True, slots=True)
class Unit:
    """Programs compiled from one file, which reach each other through a map `jumps` of their own.

    Attributes:
        main: the file.
        type: what they run on.
        prefix: of their names in C; without it they are the names of the pins.
        entries: attached to interfaces.
        jumps: reached by tail call, in the order of their index.
        tools: reached by PROG_TEST_RUN only.

    """

    main: str
    type: ProgramType
    prefix: str
    entries: tuple[str, ...]
    jumps: tuple[str, ...]
    tools: tuple[str, ...] = ()

    def functions(self) -> dict[str, str]:
        """Return the C function of each pin."""
        return {name: f"{self.prefix}{name}" for name in (*self.entries, *self.jumps, *self.tools)}

    def folder(self, programs: Path) -> Path:
        """Return where they are pinned, given where a load is."""
        return programs / XDP_FOLDER if self.type is ProgramType.XDP else programs


TC = Unit(
    main="microseg_tc.c",
    type=ProgramType.TC,
    prefix="ms_",
    entries=("ingress", "egress", "ingress_l3", "egress_l3"),
    jumps=("cold", "quote", "answer", "question"),
    tools=("probe", "clock"),
)
XDP = Unit(
    main="microseg_xdp.c",
    type=ProgramType.XDP,
    prefix="ms_xdp_",
    entries=("ingress", "ingress_l3"),
    jumps=("cold", "quote", "answer"),
)
