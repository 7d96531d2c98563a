"""What an agent of root gives up."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from microseg.gitops.privileges import Capability

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give something up")

SHOW = """
import os, subprocess, sys
from pathlib import Path
from microseg.gitops import privileges
{before}
privileges.keep()
said = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
for status in (Path("/proc/self/status").read_text(), said):
    found = dict(line.split(":\\t") for line in status.splitlines() if line.startswith("Cap"))
    print(*(int(found[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")))
"""


def capabilities(before: str = "") -> list[list[int]]:
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(before=before)], capture_output=True, check=True, text=True
    )
    return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]


def test_an_agent_and_what_it_starts_keep_what_is_needed_and_no_more() -> None:
    kept = sum(1 << capability for capability in Capability)
    for effective, permitted, bounding, inheritable in capabilities():
        assert effective == permitted == bounding
        assert effective & ~kept == 0
        assert effective & (1 << Capability.BPF)
        assert inheritable == 0


def test_an_ordinary_user_has_nothing_to_give_up() -> None:
    user = "os.setresuid(65533, 65533, 65533)"
    for effective, permitted, _, _ in capabilities(user):
        assert effective == permitted == 0


def test_a_process_that_was_given_less_keeps_that() -> None:
    narrowed = ["setpriv", "--bounding-set=-all,+bpf,+net_admin", "--inh-caps=-all"]
    done = subprocess.run(
        [*narrowed, sys.executable, "-c", SHOW.format(before="")], capture_output=True, check=True, text=True
    )
    for line in done.stdout.splitlines():
        assert int(line.split()[0]) == 1 << Capability.BPF | 1 << Capability.NET_ADMIN
