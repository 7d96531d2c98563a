"""The hooks offered to policy repositories, and our own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from tree import ROOT, text_of

# https://pre-commit.com/#creating-new-hooks: these are required of every hook.
REQUIRED = {"id", "name", "entry", "language"}


def hooks_offered() -> list[dict[str, Any]]:
    return list(yaml.safe_load(text_of(Path(".pre-commit-hooks.yaml"))))


def hooks_of_ours() -> list[dict[str, Any]]:
    configuration = yaml.safe_load(text_of(Path(".pre-commit-config.yaml")))
    return [hook for repository in configuration["repos"] for hook in repository["hooks"]]


def test_every_hook_is_complete_and_named_once() -> None:
    for hooks in (hooks_offered(), hooks_of_ours()):
        assert hooks
        assert all(set(hook) >= REQUIRED for hook in hooks)
        assert len({hook["id"] for hook in hooks}) == len(hooks)
        assert all(re.compile(hook["files"]) for hook in hooks)


def test_the_offered_hooks_look_at_policies_and_install_the_package() -> None:
    for hook in hooks_offered():
        assert hook["language"] == "python"
        assert hook["entry"].split()[0] == "microseg"
        assert re.search(hook["files"], "policies.d/shop.mseg")
        assert bool(re.search(hook["files"], "policies.d/lists/drop.netset")) is (
            hook["id"] != "microseg-fmt"
        )


def test_the_offered_hooks_pass_on_the_example_policy() -> None:
    for hook in hooks_offered():
        command = [*hook["entry"].split(), *hook["args"]]
        program = Path(sys.executable).parent / command[0]
        run = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, check=False, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
        assert "warning" not in run.stdout


def test_our_hooks_are_make_targets() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(Path("Makefile")), re.MULTILINE))
    for hook in hooks_of_ours():
        assert hook["entry"].split()[0] == "make"
        assert hook["entry"].split()[-1] in targets
