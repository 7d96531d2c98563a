"""The bar that tells how far a long look at a policy is."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys

import pytest
from tree import ROOT

CODE = """
from microseg.cli import main, phase_bar
phase_bar.PATIENCE_S = {patience}
main({words!r}, standalone_mode=False)
"""


def typed(*words: str, patience: float = 0, **environment: str) -> tuple[str, str]:
    """Run a command with a terminal for standard error; return what it said there, and on standard output."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100", **environment}
    command = [sys.executable, "-c", CODE.format(patience=patience, words=list(words))]
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=theirs, check=False)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # Linux says so at the end of a terminal
        while piece := os.read(ours, 65536):
            said += piece
    os.close(ours)
    assert done.returncode == 0, said
    return said.decode(), done.stdout.decode()


@pytest.mark.parametrize("command", ["lint", "test"])
def test_on_a_terminal_it_says_what_is_being_done(command: str) -> None:
    bar, output = typed(command, "policies.d", NO_COLOR="")
    assert "reading and parsing" in bar
    assert "looking for contradictions" in bar
    assert "parsing" not in output


def test_what_is_quick_has_none() -> None:
    bar, _ = typed("lint", "policies.d", patience=600, NO_COLOR="")
    assert bar == ""


def test_programs_and_those_who_want_no_colours_get_none() -> None:
    assert typed("lint", "policies.d", "--format", "json", NO_COLOR="")[0] == ""
    assert typed("lint", "policies.d", NO_COLOR="1")[0] == ""
