"""The confined process: `python -I -m microseg.confined.nursery`, with pipes as standard input and output.

It imports the compiler and compiles something small, so that all of it is in memory; then it gives up what
it can do, and makes a child of its own that compiles. So that starts in a millisecond. The child goes on from
one accepted policy to the next, and remembers what is as before; with one that is not accepted it ends.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from microseg.abi import Encoder
from microseg.analysis.examine import examine, examined
from microseg.analysis.memory import Memory
from microseg.compiler.pipeline import compile_tree
from microseg.confined import cage, wire
from microseg.confined.changes import contents_changes
from microseg.confined.messages import Job, Said, contents_to_bytes, said_to_bytes, spoken_of
from microseg.confined.wire import Kind
from microseg.memo import Each
from microseg.policy.addresses import ANY_ADDRESS
from microseg.reconcile import proving
from microseg.reconcile.desired import Attributions, names_of
from microseg.reconcile.safeguards import Lifelines
from microseg.source import MemoryTree, SourceError

if TYPE_CHECKING:
    from microseg.abi import SlotContents
    from microseg.compiler.image import Image
    from microseg.reconcile.records import Names

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
    """The policy directory on the other side of the pipe.

    Args:
        job: names the files.
        known: versions and contents of files, which are replaced by those of this directory.

    """

    def __init__(self, job: Job, known: dict[str, tuple[str, bytes]]) -> None:
        self._paths = job.paths
        self._versions = job.versions
        self._known = known
        for path in known.keys() - job.versions.keys():
            del known[path]

    def policy_paths(self) -> list[str]:
        """Return the paths of all policy files."""
        return list(self._paths)

    def read(self, path: str) -> bytes:
        """Ask for a file that isn't known in its version; raises SourceError."""
        version = self._versions.get(path)
        if version is not None and path in self._known and self._known[path][0] == version:
            return self._known[path][1]
        wire.send(ANSWERS, Kind.READ, os.fsencode(path))
        kind, payload = wire.receive(REQUESTS)
        if kind is Kind.UNREADABLE:
            raise SourceError(path, payload.decode(errors="replace"))
        if version is not None:
            self._known[path] = version, payload
        return payload


class Life:
    """What a process knows of the policies it has compiled."""

    def __init__(self) -> None:
        self._memory = Memory()
        self._encoder = Encoder()
        self._attributions: Attributions = Each()
        self._files: dict[str, tuple[str, bytes]] = {}
        self._last: tuple[SlotContents, Names] | None = None

    def compile(self, job: Job) -> None:
        """Do a job and tell what came of it: first the image, which the other side can look at meanwhile."""
        tree, memory = RemoteTree(job, self._files), self._memory
        compilation = compile_tree(
            tree, job.today, audit=job.audit, capacities=job.capacities, memory=memory.compiling
        )
        last = self._last if self._last and self._last[0].config.digest.hex() == job.base else None
        contents = self._hand_over(compilation.image, last[0] if last else None)
        examination = examined(compilation, memory)
        compilation, failures = examination.compilation, examination.failures
        shown = spoken_of([*compilation.diagnostics, *failures])
        sources = {path: text for path, text in compilation.sources.items() if path in shown}
        said = Said(compilation.diagnostics, failures, sources)
        if compilation.image is None or contents is None:
            wire.send(ANSWERS, Kind.SAID, said_to_bytes(said))
            return
        evidence = proving.evidence_of(compilation, job.lifelines, memory)
        names = names_of(compilation.image, self._attributions)
        said = replace(said, accepted=True, names=names, evidence=evidence)
        wire.send(ANSWERS, Kind.SAID, said_to_bytes(said, *((last[1], job.base) if last else ())))
        self._last = contents, names

    def _hand_over(self, image: Image | None, last: SlotContents | None) -> SlotContents | None:
        """Send an image, or what differs from the last one; whether it is accepted is said later."""
        if image is None:
            return None
        contents = self._encoder.encode(image)
        if last:
            wire.send(ANSWERS, Kind.CHANGES, contents_changes(last, contents))
        else:
            wire.send(ANSWERS, Kind.IMAGE, contents_to_bytes(contents))
        return contents

    def settle(self) -> None:
        """Use the time between two jobs to forget what is of no use; meanwhile nothing is collected."""
        self._memory.age()
        gc.collect()
        gc.freeze()
        gc.disable()


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
            kind, payload = wire.receive(REQUESTS)
        except wire.ClosedError:
            return
        if kind is not Kind.JOB:
            continue  # there is nothing to forget
        if not (child := os.fork()):
            _live(payload)
        _, status = os.waitpid(child, 0)
        if status:
            os._exit(os.waitstatus_to_exitcode(status) % 256)


def _live(payload: bytes) -> NoReturn:
    """Do one job after the other until told to forget them, or until something goes wrong, and end."""
    try:
        life, job = Life(), Job.from_bytes(payload)
        cage.enter_job(job.limits)
        life.compile(job)
        while time.process_time() < job.limits.life_s:
            life.settle()
            kind, payload = wire.receive(REQUESTS)
            if kind is not Kind.JOB:
                break
            job = Job.from_bytes(payload)
            life.compile(job)
    except wire.ClosedError:
        pass
    except MemoryError:
        wire.send(ANSWERS, Kind.MEMORY)
    except BaseException:  # noqa: BLE001  a mistake of ours must reach the operator
        wire.send(ANSWERS, Kind.BROKEN, traceback.format_exc().encode(errors="replace"))
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
