"""The loader process: compile, load, verify, pin, exit (see microseg.kernel.loading). Only it imports bcc.

A failure part way removes every pin the run made (I3). When the process that asked dies, so does this one.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from microseg.kernel.bpf import Descriptor, map_info, program_info
from microseg.kernel.errors import AccessError, LoadError
from microseg.kernel.headers import Headers, find_headers
from microseg.kernel.loading import Failure, LoadAnswer, LoadRequest
from microseg.kernel.maps import Map
from microseg.kernel.program_text import program_text
from microseg.kernel.shapes import MapShape
from microseg.reconcile.dataplane import KernelError

try:
    import bcc
except ImportError:
    bcc = None

_FLAGS = (
    "-O2",
    "-Wno-macro-redefined",
    "-Wno-unused-command-line-argument",
    "-Werror=implicit-function-declaration",
)
_PR_SET_PDEATHSIG = 1
_RESIZE = "set the capacities back, or run `microseg detach` and apply again (enforcement stops meanwhile)"


class _FailedError(Exception):
    """A step failed."""

    def __init__(self, failure: Failure, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.answer = LoadAnswer(failure.value, message, advice)


class Load:
    """One run: remembers what it pins, to take it back."""

    def __init__(self, request: LoadRequest) -> None:
        self._request = request
        self._maps_dir = Path(request.maps_dir)
        self._programs_dir = Path(request.programs_dir)
        self._shapes = {name: MapShape(**fields) for name, fields in request.shapes.items()}
        self._present = {name for name in self._shapes if (self._maps_dir / name).exists()}

    def run(self) -> LoadAnswer:
        """Do it all."""
        if bcc is None:
            raise _FailedError(
                Failure.NO_BCC,
                f"cannot compile the BPF programs: {sys.executable} has no bcc",
                "apt install python3-bpfcc, and make the virtual environment with "
                "/usr/bin/python3 -m venv --system-site-packages",
            )
        self._check_pinned_maps()
        headers = self._headers()
        start = time.monotonic()
        module = self._compile(headers)
        compiled = time.monotonic()
        self._check_layouts(module)
        tags = self._load_and_pin(module)
        return LoadAnswer(
            tags=tags,
            maps_created=sorted(set(self._shapes) - self._present),
            headers=headers.built.name,
            compile_s=round(compiled - start, 3),
            verify_s=round(time.monotonic() - compiled, 3),
        )

    def take_back(self) -> None:
        """Remove what this run pinned."""
        shutil.rmtree(self._programs_dir, ignore_errors=True)
        for name in set(self._shapes) - self._present:
            (self._maps_dir / name).unlink(missing_ok=True)

    def _headers(self) -> Headers:
        try:
            headers = find_headers()
        except LoadError as error:
            raise _FailedError(Failure.HEADERS, error.message, error.advice) from error
        if headers.source is not None:
            os.environ["BCC_KERNEL_SOURCE"] = str(headers.source)
        return headers

    def _check_pinned_maps(self) -> None:
        for name in sorted(self._present):
            with Map.pinned(self._maps_dir / name) as pinned:
                self._check_shape(name, MapShape.of(pinned.info), "the pinned map", _RESIZE)

    def _check_shape(self, name: str, actual: MapShape, what: str, advice: str) -> None:
        if actual != self._shapes[name]:
            raise _FailedError(
                Failure.MAP_SHAPE, f"{what} {name} is {actual}; needed: {self._shapes[name]}", advice
            )

    def _compile(self, headers: Headers) -> bcc.BPF:
        request = self._request
        self._programs_dir.mkdir(exist_ok=True)
        defines = [f"-D{name}={value}" for name, value in request.defines.items()]
        pins = [f'-DMS_PIN_DIR="{self._maps_dir}"', f'-DMS_JUMPS_PIN="{self._programs_dir / "jumps"}"']
        text = program_text(Path(request.source_dir), request.main)
        try:
            return bcc.BPF(text=text.encode(), cflags=[*_FLAGS, *headers.compiler_flags(), *defines, *pins])
        except Exception as error:  # bcc raises nothing narrower
            missing = [name for name in self._shapes if not (self._maps_dir / name).exists()]
            if os.geteuid() != 0 and missing:
                raise _FailedError(Failure.ACCESS, "cannot make BPF maps", "run it as root") from error
            raise _FailedError(
                Failure.COMPILE, f"{request.main} does not compile, or its maps can't be made"
            ) from error

    def _check_layouts(self, module: bcc.BPF) -> None:
        """Hold what was really made against what Python believes, map by map."""
        for name, shape in self._shapes.items():
            self._check_shape(name, MapShape.of(map_info(module[name].map_fd)), "the new map", "")
            if shape.key_size and ctypes.sizeof(module[name].Key) != shape.key_size:
                raise _FailedError(Failure.MAP_SHAPE, f"the key of {name} has another size in the C program")

    def _load_and_pin(self, module: bcc.BPF) -> dict[str, str]:
        tags, descriptors = {}, {}
        for pin, function in self._request.programs.items():
            try:
                descriptors[pin] = module.load_func(function, getattr(bcc.BPF, self._request.type)).fd
            except Exception as error:  # bcc raises nothing narrower
                raise _FailedError(Failure.VERIFY, f"the kernel refuses the program {function}") from error
        for index, pin in enumerate(self._request.jumps):
            module["jumps"][ctypes.c_int(index)] = ctypes.c_int(descriptors[pin])
        for pin, descriptor in descriptors.items():
            _pin(descriptor, self._programs_dir / pin)
            tags[pin] = program_info(descriptor).tag
        return tags


def _pin(descriptor: int, path: Path) -> None:
    with Descriptor(os.dup(descriptor)) as program:
        program.pin(path)


def _die_with(parent: int) -> None:
    """End when the process that asked ends, whose lock is free from then on."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    """Read a request from standard input, answer on standard output; standard error is the compiler's."""
    _die_with(int(sys.argv[1]))
    answer_fd = os.dup(1)
    os.dup2(2, 1)
    request = LoadRequest(**json.load(sys.stdin))
    load = Load(request)
    try:
        answer = load.run()
    except _FailedError as failed:
        load.take_back()
        answer = failed.answer
    except AccessError as error:
        load.take_back()
        answer = LoadAnswer(Failure.ACCESS.value, error.message, error.advice)
    except (KernelError, OSError) as error:
        load.take_back()
        answer = LoadAnswer(Failure.PIN.value, str(error))
    with os.fdopen(answer_fd, "w") as out:
        out.write(answer.to_json())
    sys.stdout.flush()
    os._exit(0)  # bcc's own clean-up at exit would detach and print


if __name__ == "__main__":
    main()
