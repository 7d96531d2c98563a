"""One cell of the fault matrix: an apply on the real kernel that goes wrong at one step, and what is left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from microseg.abi import PolicyMap
from microseg.analysis.examine import examine
from microseg.kernel.bpf import program_by_id, program_info
from microseg.kernel.dataplane import PinnedDataPlane
from microseg.reconcile.apply import STEPS, Step, StepName, apply
from microseg.reconcile.dataplane import KernelError
from microseg.reconcile.desired import desired_of
from microseg.reconcile.errors import ReconcileError
from microseg.reconcile.state import StateStore
from microseg.reconcile.transaction import Host, Operator, Request, Transaction
from microseg.source import MemoryTree

MARK = "MICROSEG_TEST_CELL"
"""The environment variable by which a test finds the processes it is to blame for."""

BEFORE = """
group web = 10.1.1.0/24, 2001:db8:1::/64
group db = 10.1.3.10
policy shop { allow web -> db : tcp/5432
  deny any -> db log }
"""
AFTER = """
group web = 10.1.1.0/24
group db = 10.1.3.10 - 10.1.3.12
policy shop { allow web -> db : tcp/5432, udp/53
  allow db -> web : tcp/80 }
default deny log
"""


class Injection(Enum):
    """What goes wrong; the value heads a column."""

    ERROR_BEFORE = "error before"
    ERROR_AFTER = "error after"
    KILL_BEFORE = "kill -9 before"
    KILL_AFTER = "kill -9 after"

    @property
    def kills(self) -> bool:
        """Whether the process dies."""
        return self in (Injection.KILL_BEFORE, Injection.KILL_AFTER)

    @property
    def after(self) -> bool:
        """Whether the step has its effect first."""
        return self in (Injection.ERROR_AFTER, Injection.KILL_AFTER)


@dataclass(frozen=True)
class Dump:
    """All that decides about packets. Generation 0 judges nothing, wherever its programs are attached."""

    root: bytes
    config: Any
    entries: Any
    filters: Any
    """Interface, hook, direction, and the program there: its id and tag."""

    def meaning(self) -> tuple[Any, ...]:
        """Return it without the numbers of generations, which a second attempt doesn't reuse."""
        return self.config and replace(self.config, generation=0), self.entries, self.filters


NOTHING = Dump(b"", None, None, None)


def dump(plane: PinnedDataPlane) -> Dump:
    """Read it, whatever the process before left open."""
    plane.close()
    if not plane.is_loaded() or not plane.read_root().generation:
        return NOTHING
    root = plane.read_root()
    entries = {name: plane.read_map(root.slot, name).entries() for name in PolicyMap}
    filters = sorted(
        (found.ifindex, found.hook.value, found.direction, *_program(found.program_id))
        for found in plane._attacher.attached()  # noqa: SLF001
    )
    return Dump(root.to_bytes(), plane.read_config(root.slot), entries, filters)


def _program(program_id: int) -> tuple[int, str]:
    with program_by_id(program_id) as program:
        return program_id, program_info(program.fd).tag


class Instance:
    """A host under test."""

    def __init__(self, plane: PinnedDataPlane, folder: Path) -> None:
        self.plane = plane
        self.host = Host(plane, StateStore(folder / "state"), folder / "run", lambda: datetime.now(UTC))

    def apply(self, request: Request, sequence: tuple[Step, ...] = STEPS) -> None:
        apply(self.host, request, sequence)

    def apply_and_die(self, request: Request, sequence: tuple[Step, ...], mark: str) -> None:
        """Apply in a process of its own, which is killed on its way (or ends, when the step isn't needed)."""
        child = os.fork()
        if not child:
            with suppress(BaseException):
                os.environ[MARK] = mark
                self.apply(request, sequence)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert not os.WIFSIGNALED(status) or os.WTERMSIG(status) == signal.SIGKILL


def request_for(text: str, interfaces: tuple[str, ...], **more: Any) -> Request:
    """Return a request to apply a policy."""
    tree = MemoryTree({"shop.mseg": text.encode()})
    desired = desired_of(examine(tree, date(2026, 1, 1)), None)
    return Request(lambda _: desired, Operator("root", "a test"), interfaces, **more)


def breaking(name: StepName, injection: Injection) -> tuple[Step, ...]:
    """Return the steps of an apply, one of which goes wrong."""

    def around(step: Step) -> Callable[[Transaction], None]:
        def run(tx: Transaction) -> None:
            if injection.after:
                step.run(tx)
            if injection.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise KernelError("injected")

        return run

    return tuple(replace(step, run=around(step)) if step.name is name else step for step in STEPS)


def run_cell(instance: Instance, request: Request, name: StepName, injection: Injection, mark: str) -> None:
    """Let an apply go wrong."""
    sequence = breaking(name, injection)
    if injection.kills:
        instance.apply_and_die(request, sequence, mark)
        return
    with suppress(KernelError, ReconcileError):
        instance.apply(request, sequence)


def processes_of(mark: str) -> list[str]:
    """Return the command lines of the processes that an apply of this mark has left."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdecimal() and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found


def pins_of(plane: PinnedDataPlane) -> list[str]:
    """Return what is pinned, programs without the number of their load."""
    folder = plane._pin_dir  # noqa: SLF001
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def qdiscs(interfaces: tuple[str, ...]) -> str:
    """Return the queueing disciplines and filters of interfaces, in tc's words."""
    kinds = ("qdisc show dev {}", "filter show dev {} ingress", "filter show dev {} egress")
    asked = "".join(f"{kind.format(name)}\n" for name in interfaces for kind in kinds)
    return subprocess.run(
        ["tc", "-batch", "-"], input=asked, check=True, capture_output=True, text=True
    ).stdout
