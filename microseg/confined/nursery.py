"""The confined process: `python -I -m microseg.confined.nursery`, with pipes as standard input and output.

It imports the compiler and compiles something small, so that all of it is in memory; then it gives up what
it can do, and makes a child of its own for each job. So a job starts in a millisecond, and what one policy
did to its process is gone before the next.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from datetime import UTC, datetime
from typing import NoReturn

from microseg.abi import encode
from microseg.analysis.examine import examine
from microseg.confined import cage, wire
from microseg.confined.messages import Job, Said, contents_to_bytes, said_to_bytes, spoken_of
from microseg.confined.wire import Kind
from microseg.policy.addresses import ANY_ADDRESS
from microseg.reconcile import proving
from microseg.reconcile.desired import names_of
from microseg.reconcile.safeguards import Lifelines
from microseg.source import MemoryTree, SourceError

REQUESTS, ANSWERS = 0, 1

SMALL = b"""\
group here = 10.0.0.0/8, 2001:db8::/32
service web = tcp/80, icmp/echo-request
protect one from here : web
policy one { allow here -> any : web log deny any -> here : udp/53 from 53 }
policy two { allow any -> here : tcp/80 expires 2000-01-01 "a remark" }
default deny
test "one" { expect allow here & any4 -> any4 - here : tcp/80 expect deny any -> here : udp }
"""
"""Touches what compiling and proving need."""


class RemoteTree:
    """The policy directory on the other side of the pipe."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = paths

    def policy_paths(self) -> list[str]:
        """Return the paths of all policy files."""
        return list(self._paths)

    def read(self, path: str) -> bytes:
        """Ask for a file; raises SourceError."""
        wire.send(ANSWERS, Kind.READ, os.fsencode(path))
        kind, payload = wire.receive(REQUESTS, wire.CONTENT_LIMIT)
        if kind is Kind.UNREADABLE:
            raise SourceError(path, payload.decode(errors="replace"))
        return payload


def main() -> None:
    """Serve until nobody asks any more."""
    examine(MemoryTree({"warm.mseg": SMALL, "wrong.mseg": b"polcy x {"}), datetime.now(UTC).date())
    warm = examine(MemoryTree({"warm.mseg": SMALL}), datetime.now(UTC).date()).compilation
    proving.evidence_of(warm, Lifelines(hosts=ANY_ADDRESS))
    try:
        cage.enter()
    except OSError as error:
        wire.send(ANSWERS, Kind.BROKEN, str(error).encode())
        sys.exit(1)
    gc.collect()
    gc.freeze()
    wire.send(ANSWERS, Kind.READY)
    while True:
        try:
            _, payload = wire.receive(REQUESTS, wire.CONTENT_LIMIT)
        except wire.ClosedError:
            return
        if not (child := os.fork()):
            _run(payload)
        _, status = os.waitpid(child, 0)
        if status:
            os._exit(os.waitstatus_to_exitcode(status) % 256)


def _run(payload: bytes) -> NoReturn:
    """Do one job, whatever comes of it, and end."""
    try:
        job = Job.from_bytes(payload)
        cage.enter_job(job.limits)
        said, image = _compile(job)
        wire.send(ANSWERS, Kind.SAID, said_to_bytes(said))
        wire.send(ANSWERS, Kind.IMAGE, image)
    except MemoryError:
        wire.send(ANSWERS, Kind.MEMORY)
    except BaseException:  # noqa: BLE001  a mistake of ours must reach the operator
        wire.send(ANSWERS, Kind.BROKEN, traceback.format_exc().encode(errors="replace"))
    finally:
        os._exit(0)


def _compile(job: Job) -> tuple[Said, bytes]:
    tree = RemoteTree(job.paths)
    examination = examine(tree, job.today, audit=job.audit, capacities=job.capacities)
    compilation, failures = examination.compilation, examination.failures
    shown = spoken_of([*compilation.diagnostics, *failures])
    sources = {path: text for path, text in compilation.sources.items() if path in shown}
    if compilation.image is None:
        return Said(compilation.diagnostics, failures, sources), b""
    evidence = proving.evidence_of(compilation, job.lifelines)
    said = Said(compilation.diagnostics, failures, sources, names_of(compilation.image), evidence)
    return said, contents_to_bytes(encode(compilation.image))


if __name__ == "__main__":
    main()
