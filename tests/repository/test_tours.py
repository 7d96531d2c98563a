"""What the documents show of a terminal is what a terminal shows.

A block ```console after the line `<!-- run -->` is typed in, all such blocks of a document into one shell, in
a folder with the repository's `policies.d` and in a network namespace of its own. What is printed has to be
what stands there, but for numbers, commits and times; a line `...` stands for any lines.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tree import ROOT, text_of, tracked_with

BLOCK = re.compile(r"^<!-- run -->\n```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"^[#$] ", re.MULTILINE)
CHANGING = re.compile(r"\b[0-9a-f]{7,40}\b|\d+(?:\.\d+)?")
BLANKS = re.compile(r"[ \t]+")
END = "@@ that was all @@"

DOCUMENTS = [path for path in tracked_with(".md") if BLOCK.search(text_of(path))]

pytestmark = pytest.mark.kernel


@dataclass(frozen=True)
class Step:
    """A command, and what is printed after it."""

    command: str
    output: str


def steps_of(document: Path) -> list[Step]:
    text = "".join(BLOCK.findall(text_of(document)))
    return [Step(*each.partition("\n")[::2]) for each in PROMPT.split(text) if each]


def pattern_of(output: str) -> re.Pattern[str]:
    """Return what the output has to match, numbers and the width of columns aside."""
    lines = [re.escape(steady(line)) for line in output.strip("\n").splitlines()]
    return re.compile("\n".join("(?s:.*)" if line == re.escape("...") else line for line in lines))


def steady(line: str) -> str:
    return BLANKS.sub(" ", CHANGING.sub("0", line)).rstrip()


def type_in(steps: list[Step], folder: Path) -> list[str]:
    """Return what each command printed."""
    here = [step.command.replace("/tmp/", f"{folder}/") for step in steps]  # noqa: S108  as a reader types it
    script = "".join(f"{command}\necho '{END}'\n" for command in here)
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "NO_COLOR": "1",
        "MICROSEG_STATE_DIR": str(folder / "state"),
        "MICROSEG_RUN_DIR": str(folder / "run"),
        "MICROSEG_PIN_DIR": f"/sys/fs/bpf/microseg-tour-{os.getpid()}",
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "Dana Operator",
        "GIT_CONFIG_KEY_1": "user.email",
        "GIT_CONFIG_VALUE_1": "dana@example.org",
    }
    try:
        shell = subprocess.run(
            ["unshare", "--net", "bash", "-c", f"exec 2>&1\n{script}"],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
        )
    finally:
        shutil.rmtree(env["MICROSEG_PIN_DIR"], ignore_errors=True)
    return shell.stdout.split(END + "\n")[:-1]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_a_terminal_shows_what_the_document_shows(document: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "policies.d", tmp_path / "policies.d")
    steps = steps_of(document)
    printed = type_in(steps, tmp_path)
    assert len(printed) == len(steps), printed[-1:]
    for step, output in zip(steps, printed, strict=True):
        shown = "\n".join(steady(line) for line in output.strip("\n").splitlines())
        if not pattern_of(step.output).fullmatch(shown):
            pytest.fail(f"{document}: $ {step.command}\n{output}\nbut it says\n{step.output}", pytrace=False)


def test_the_readme_has_a_tour() -> None:
    assert Path("README.md") in DOCUMENTS
