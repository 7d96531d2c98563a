"""What a confined process can't do."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from tree import ROOT

from microseg.confined import seccomp

SCRIPT = Path(__file__).with_name("escapes.py")


def escapes(*, user: int | None = None) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.read_text()
    return subprocess.run(
        [sys.executable, "-c", script, str(os.getpid())],
        cwd=ROOT, user=user, group=user, capture_output=True, check=False, text=True,
        extra_groups=None if user is None else [],
    )  # fmt: skip


needs_filter = pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no filter here")


@needs_filter
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_a_process_of_root_can_do_nothing_any_more() -> None:
    done = escapes()
    assert done.stdout == "end\n", done.stdout + done.stderr


@needs_filter
def test_a_process_of_anybody_can_do_nothing_any_more() -> None:
    done = escapes(user=65_533 if os.geteuid() == 0 else None)
    assert done.stdout == "end\n", done.stdout + done.stderr


def run(code: str) -> str:
    """Run something behind cage.enter(), without the narrower cage of a job."""
    lead = "import os, socket; from pathlib import Path; from microseg.confined import cage, seccomp\n"
    done = subprocess.run([sys.executable, "-c", lead + code], capture_output=True, check=False, text=True)
    return done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_without_the_filter_users_and_namespaces_still_hold() -> None:
    said = run(
        "seccomp.install = lambda _: True\n"
        "cage.enter()\n"
        "print(os.getresuid(), os.getresgid(), os.getgroups(), os.access('/etc/passwd', os.F_OK))\n"
        "s = socket.socket()\n"
        "try: s.connect(('192.0.2.1', 80))\n"
        "except OSError as error: print(error.errno)\n"
    )
    nobody = (65_534,) * 3
    assert said == f"{nobody} {nobody} [] False\n101\n"  # the network is unreachable: no interface, no route


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_with_too_much_left_it_refuses_to_work() -> None:
    said = run("seccomp.install = lambda _: False\ncage._leave_files = lambda: False\ncage.enter()\n")
    assert "could not give up files and network" in said
    said = run("os.setresuid = lambda *_: None\ncage.enter()\n")
    assert "could not give up its privileges" in said


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_call_that_is_allowed_has_a_number(machine: str) -> None:
    for calls in (seccomp.PARENT, seccomp.JOB):
        assert len(seccomp.filter_for(machine, calls)) == 8 * (len(calls) + 5)
    assert set(seccomp.JOB) < set(seccomp.PARENT)
    assert not {"open", "openat", "socket", "execve", "bpf", "ptrace", "kill"} & set(seccomp.PARENT)
