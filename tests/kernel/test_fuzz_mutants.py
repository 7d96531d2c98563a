"""The fuzz finds planted faults: each is one line of the programs, changed in a copy of them.

One in `make test`, all in `make test-all` (MICROSEG_TEST_FULL=1).
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from kernel.frame_ways import TestRun
from kernel.planted_faults import Fault, each, planted
from kernel.test_fuzz import Fuzz
from long_runs import is_long

pytestmark = pytest.mark.compiles
FRAMES = 50_000
"""Most need a few hundred."""

COUNT = "\tstats->outcome[outcome & (MS_OUTCOME_SLOTS - 1)]++;\n"
IN_EVERY_RUN = (Fault("no reason", "judge.h", COUNT, f"\tif (outcome != MS_DROP_UDP_LENGTH)\n\t{COUNT}"),)
IN_LONG_RUNS = (
    Fault("counted twice", "judge.h", COUNT, f"\tif (scratch->judged)\n\t{COUNT}{COUNT}"),
    Fault(
        "counted as dropped, but passed",
        "judge.h",
        "MS_JUMP_ANSWER);\n\treturn MS_RETURN_DROP;",
        "MS_JUMP_ANSWER);\n\treturn MS_RETURN_PASS;",
    ),
    Fault(
        "IPv4 options taken for the transport header",
        "parse.h",
        "packet->transport = offset + header_bytes;",
        "packet->transport = offset + 20;",
    ),
    Fault("a fragment beyond 64 KiB", "parse.h", "offset + bytes > 0xffff)", "0)"),
    Fault("any source", "judge.h", "if (ms_is_impossible_source(packet))", "if (0)"),
    Fault("any fragment", "judge.h", "return ms_fragment_follow(scratch);", "return MS_PASS_FRAGMENT;"),
    Fault(
        "any ICMP error",
        "judge.h",
        "MS_JUMP_QUOTE);\n\t\treturn MS_DROP_INTERNAL;",
        "MS_JUMP_JUDGE + 100);\n\t\treturn MS_PASS_ICMP_ERROR;",
    ),
    Fault(
        "a connection that nobody opened",
        "judge.h",
        "return scratch->adopt && !ms_adopting() ? MS_DROP_NO_SESSION : 0;",
        "return 0;",
    ),
    Fault("a service without its protocol", "policy.h", ".protocol = protocol};", ".protocol = 6};"),
    Fault("the last rule wins", "policy.h", "value && value->precedence < s->precedence", "value != 0"),
)


@each(*IN_EVERY_RUN, *(IN_LONG_RUNS if is_long() else ()))
def test_the_fuzz_finds_a_planted_fault(fault: Fault, bpffs: Path, tmp_path: Path) -> None:
    rng = Random("faults")
    with planted(fault, bpffs / "mutant", tmp_path) as lab:
        fuzz = Fuzz(lab, rng, {TestRun(lab, rng): 1.0})
        with pytest.raises(pytest.fail.Exception):
            fuzz.send(FRAMES)
