"""Have the programs compiled, verified and pinned, by a process of their own.

bcc brings a whole compiler into the process, so only `python -m microseg.kernel.loader PID` imports it. It
reads a LoadRequest, writes a LoadAnswer, both JSON, and ends, as it does when process PID ends. What it says
on standard error are the compiler's and the verifier's words.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from enum import Enum

from microseg.kernel.errors import IncompatibleMapError, LoadError
from microseg.reconcile.dataplane import KernelAccessError, KernelError

_TIMEOUT_S = 300
_STDERR_KEPT = 20_000
"""Characters of compiler or verifier output that are kept, from the end."""


class Failure(Enum):
    """Why a load failed; the value goes over the wire."""

    NO_BCC = "no-bcc"
    ACCESS = "access"
    HEADERS = "headers"
    COMPILE = "compile"
    VERIFY = "verify"
    MAP_SHAPE = "map-shape"
    PIN = "pin"


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What to load.

    Attributes:
        source_dir: folder of the C sources.
        main: file there to compile.
        type: what its programs run on, a value of ProgramType.
        maps_dir: folder of a bpffs for the maps; must exist.
        programs_dir: folder of a bpffs for the programs, which has none yet.
        programs: pin name -> C function.
        jumps: pin names of the programs that others tail-call, by their index in the map `jumps`.
        shapes: map name -> fields of MapShape.
        defines: macros, by name.

    """

    source_dir: str
    main: str
    type: str
    maps_dir: str
    programs_dir: str
    programs: dict[str, str]
    jumps: list[str]
    shapes: dict[str, dict[str, int]]
    defines: dict[str, int]


@dataclass(frozen=True, slots=True)
class LoadAnswer:
    """What came of it.

    Attributes:
        failure: value of Failure; empty: none.
        message: what failed, in one line.
        advice: what to do about it.
        tags: hash of the instructions of each program, by pin name.
        maps_created: maps that weren't pinned before.
        headers: version of the kernel headers it was compiled with.
        compile_s: seconds in the compiler.
        verify_s: seconds in the verifier.

    """

    failure: str = ""
    message: str = ""
    advice: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    maps_created: list[str] = field(default_factory=list)
    headers: str = ""
    compile_s: float = 0.0
    verify_s: float = 0.0

    def to_json(self) -> str:
        """Return the wire form."""
        return json.dumps(asdict(self))


def load_programs(request: LoadRequest, interpreter: str = sys.executable) -> LoadAnswer:
    """Run the loader; raises LoadError (or a subclass) or KernelAccessError, with nothing new pinned."""
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter and module
            [interpreter, "-m", "microseg.kernel.loader", str(os.getpid())],
            input=json.dumps(asdict(request)),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"loading the BPF programs took more than {_TIMEOUT_S} s") from error
    log = done.stderr[-_STDERR_KEPT:].strip()
    if not done.stdout:
        raise LoadError(f"the loader process ended with status {done.returncode}", log=log)
    answer = LoadAnswer(**json.loads(done.stdout))
    if answer.failure:
        raise _error(answer, log)
    return answer


def _error(answer: LoadAnswer, log: str) -> KernelError:
    match Failure(answer.failure):
        case Failure.ACCESS:
            return KernelAccessError(answer.message, advice=answer.advice, log=log)
        case Failure.MAP_SHAPE:
            return IncompatibleMapError(answer.message, advice=answer.advice)
        case _:
            return LoadError(answer.message, advice=answer.advice, log=log)
