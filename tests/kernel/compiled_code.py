"""Prints the instructions of the programs as the compiler makes them.

`python -m kernel.compiled_code MAPS PROGRAMS` is a process of its own, because bcc brings a compiler along.
Nothing of it depends on the running kernel.
"""

from __future__ import annotations

import json
import sys

import bcc

from microseg.kernel.loader import Load
from microseg.kernel.loading import LoadRequest
from microseg.kernel.program_text import BPF_DIRECTORY
from microseg.kernel.programs import TC
from microseg.kernel.shapes import c_constants, map_shapes
from microseg.reconcile.dataplane import Sizing

SIZING = Sizing(addresses=64, services=64, rules=64, sessions=64, sessions6=64, rule_counters=64)

VERSION = b"#include <uapi/linux/bpf.h>\nint clang(struct __sk_buff *skb) { return __clang_major__; }"


def main(maps_dir: str, programs_dir: str) -> None:
    """Print as JSON: the compiler's version, instructions by function, names of maps by their descriptors."""
    shapes = map_shapes(SIZING)
    request = LoadRequest(
        source_dir=str(BPF_DIRECTORY),
        main=TC.main,
        type=TC.type.value,
        maps_dir=maps_dir,
        programs_dir=programs_dir,
        programs=TC.functions(),
        jumps=list(TC.jumps),
        shapes={name: shape.as_json() for name, shape in shapes.items()},
        defines=c_constants(shapes),
    )
    load = Load(request)
    headers = load._headers()  # noqa: SLF001  # what run() does, short of loading
    module = load._compile(headers)  # noqa: SLF001  # likewise
    version = bcc.BPF(text=VERSION, cflags=headers.compiler_flags())
    names = [*shapes, "scratch", "jumps", "budgets", "denied", "judged4", "judged6"]
    answer = {
        "clang": int.from_bytes(version.dump_func(b"clang")[4:8], "little"),
        "maps": {module[name].map_fd: name for name in names},
        "code": {function: module.dump_func(function.encode()).hex() for function in TC.functions().values()},
    }
    sys.stderr.flush()
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
