"""The privileged side of a confined compilation: hands text out and takes an image in, and compiles nothing.

It imports neither the parser nor the analysis, so a mistake in those can't be used against this process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

from microseg.confined import wire
from microseg.confined.changes import changed_contents
from microseg.confined.errors import ConfinedCompilerError, TooCostlyError
from microseg.confined.limits import Limits
from microseg.confined.messages import Job, contents_from_bytes, said_from_bytes
from microseg.confined.wire import ClosedError, Kind, WireError
from microseg.reconcile.desired import Desired
from microseg.reconcile.errors import NoPolicyError, PolicyError, ReconcileError
from microseg.reconcile.safeguards import NO_LIFELINES
from microseg.source import SourceError, Versioned

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from types import TracebackType

    from microseg.abi import PolicyMap, SlotContents
    from microseg.confined.messages import Said
    from microseg.reconcile.records import Names
    from microseg.reconcile.revision import Revision
    from microseg.reconcile.safeguards import Lifelines
    from microseg.source import SourceTree

COMMAND = (sys.executable, "-I", "-m", "microseg.confined.nursery")

STANDS = "nothing was changed"

RENEW_S = 1.0
"""Time for a few bytes to be taken by somebody who has nothing else to do."""


class ConfinedCompiler:
    """Compiles in a process without privileges; a context manager that ends it.

    The process is made on first use, or by start(), and kept: a child of it compiles, and remembers what it
    has compiled until it is told to forget. A wrong policy is forgotten at once; whoever doesn't accept a
    right one says so by forget().
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._last: tuple[SlotContents, Names] | None = None
        self._sizes: dict[str, int] = {}
        self._text = 0

    @property
    def pid(self) -> int | None:
        """The process; None: there is none."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Begin making the process, so that it is there when it's needed."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.defpath},
            bufsize=0,
        )
        os.set_blocking(self._request_end(), False)

    def __call__(
        self,
        tree: SourceTree,
        revision: Revision | None,
        today: date,
        capacities: Mapping[PolicyMap, int] | None,
        lifelines: Lifelines = NO_LIFELINES,
        *,
        audit: bool = False,
    ) -> Desired:
        """Compile, prove and encode a policy.

        Raises:
            PolicyError: it is wrong.
            NoPolicyError: there is none.
            SourceError: the directory can't be listed.
            TooCostlyError: it takes more than a policy may.
            ConfinedCompilerError: the process didn't answer as it should.

        """
        paths = tuple(tree.policy_paths())
        self._check_paths(paths)
        versions = self._versions(tree, paths)
        base = self._last[0].config.digest.hex() if self._last else ""
        job = Job(paths, today, capacities, audit, lifelines, self._limits, versions, base)
        said, contents = self._ask(tree, job)
        if contents is None or not said.accepted:
            self.forget()
            raise PolicyError(said.diagnostics, said.sources)
        self._last = contents, said.names
        return Desired(
            contents,
            said.names,
            revision,
            said.diagnostics,
            said.failures,
            said.sources,
            evidence=said.evidence,
        )

    def forget(self) -> None:
        """Let another process compile the next policy, one that has seen nothing of the last ones."""
        self._last = None
        if self._ready:
            try:
                wire.send(self._request_end(), Kind.RENEW, deadline=time.monotonic() + RENEW_S)
            except WireError:
                self.close()

    def close(self) -> None:
        """End the process."""
        self._last = None
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for end in (self._process.stdin, self._process.stdout):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.close()
        self._process, self._ready = None, False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _versions(self, tree: SourceTree, paths: tuple[str, ...]) -> dict[str, str]:
        """Return the versions of all policy files, and of what they needed last time, if they are known."""
        known: dict[str, str] = {}
        if isinstance(tree, Versioned):
            versions = ((path, tree.version(path)) for path in dict.fromkeys((*paths, *self._sizes)))
            known = {path: version for path, version in versions if version}
        self._sizes = {path: size for path, size in self._sizes.items() if path in known}
        self._text = sum(self._sizes.values())
        return known

    def _check_paths(self, paths: tuple[str, ...]) -> None:
        if not paths:
            raise NoPolicyError(
                f"there is no policy file (*.mseg); {STANDS}",
                advice="name their directory: policy_dir in microseg.toml, or directory under [agent]",
            )
        if len(paths) > self._limits.files:
            raise _too_costly(f"it has {len(paths)} files, more than {self._limits.files}")

    def _ask(self, tree: SourceTree, job: Job) -> tuple[Said, SlotContents | None]:
        """Have a job done; whatever goes wrong ends the process."""
        deadline = time.monotonic() + self._limits.wall_s
        try:
            self._begin(job, deadline)
            return self._serve(tree, deadline)
        except ClosedError as error:
            raise self._obituary() from error
        except (WireError, ValueError) as error:
            self.close()
            raise ConfinedCompilerError(f"the confined compiler failed: {error}; {STANDS}") from error
        except BaseException:
            self.close()
            raise

    def _begin(self, job: Job, deadline: float) -> None:
        self.start()
        if not self._ready:
            kind, payload = wire.receive(self._answer_end(), deadline)
            self._expect(kind, Kind.READY, payload)
            self._ready = True
        wire.send(self._request_end(), Kind.JOB, job.to_bytes(), deadline)

    def _serve(self, tree: SourceTree, deadline: float) -> tuple[Said, SlotContents | None]:
        """Answer questions for files and take the image until the process has said what it has to say."""
        contents = None
        while True:
            kind, payload = wire.receive(self._answer_end(), deadline)
            match kind:
                case Kind.READ:
                    self._hand_out(tree, os.fsdecode(payload), deadline)
                case Kind.IMAGE | Kind.CHANGES if contents is None:
                    contents = self._image(kind, payload)
                case _:
                    self._expect(kind, Kind.SAID, payload)
                    known = {self._last[0].config.digest.hex(): self._last[1]} if self._last else {}
                    said = said_from_bytes(payload, known)
                    if said.accepted and contents is None:
                        raise WireError("a policy is accepted that has no image")
                    return said, contents

    def _image(self, kind: Kind, payload: bytes) -> SlotContents:
        """Take an image in, or its difference to the last one."""
        if kind is Kind.CHANGES and self._last:
            return changed_contents(self._last[0], payload)
        self._expect(kind, Kind.IMAGE, payload)
        return contents_from_bytes(payload)

    def _hand_out(self, tree: SourceTree, path: str, deadline: float) -> None:
        """Send a file, or why it can't be read."""
        try:
            content = tree.read(path)
        except SourceError as error:
            reason = error.reason.encode(errors="replace")
            wire.send(self._request_end(), Kind.UNREADABLE, reason, deadline)
            return
        self._text += len(content) - self._sizes.get(path, 0)
        self._sizes[path] = len(content)
        if self._text > self._limits.text:
            raise _too_costly(f"it has more than {self._limits.text >> 20} MiB of text")
        wire.send(self._request_end(), Kind.CONTENT, content, deadline)

    def _expect(self, kind: Kind, wanted: Kind, payload: bytes) -> None:
        if kind is Kind.MEMORY:
            raise self._out_of_memory()
        if kind is Kind.BROKEN:
            raise WireError(payload.decode(errors="replace").strip())
        if kind is not wanted:
            raise WireError(f"{kind.name} where {wanted.name} was expected")

    def _obituary(self) -> ReconcileError:
        """Return why the process is gone: by its last words, else by its status."""
        assert self._process is not None, "somebody was asked"
        with contextlib.suppress(WireError, OSError):
            kind, _ = wire.receive(self._answer_end(), time.monotonic() + 1)
            if kind is Kind.MEMORY:
                self.close()
                return self._out_of_memory()
        try:
            status = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            status = 0
        self.close()
        if status == -signal.SIGXCPU % 256:
            return _too_costly(f"compiling it takes more than {self._limits.cpu_s} s of processor time")
        return ConfinedCompilerError(f"the confined compiler ended with status {status}; {STANDS}")

    def _out_of_memory(self) -> TooCostlyError:
        return _too_costly(f"compiling it takes more than {self._limits.memory >> 20} MiB of memory")

    def _request_end(self) -> int:
        assert self._process is not None, "start() comes first"
        assert self._process.stdin is not None, "it is a pipe"
        return self._process.stdin.fileno()

    def _answer_end(self) -> int:
        assert self._process is not None, "start() comes first"
        assert self._process.stdout is not None, "it is a pipe"
        return self._process.stdout.fileno()


def _too_costly(why: str) -> TooCostlyError:
    return TooCostlyError(
        f"the policy is refused: {why}; {STANDS}",
        advice="fewer files, or lists of addresses that are summed up into blocks",
    )
