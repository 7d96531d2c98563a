"""The layers are contracts, and the contracts bite."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tree import ROOT

LINT_IMPORTS = Path(sys.executable).parent / "lint-imports"


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache"],
        cwd=tree,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tree), "COLUMNS": "200"},
        capture_output=True,
        check=False,
        text=True,
    )


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("policy/rules.py", "import microseg.render", "Layers"),
        ("reconcile/plan.py", "import microseg.kernel", "Layers"),
        ("newcomer.py", "", "Layers"),
        ("kernel/maps.py", "import microseg.reconcile.state", "kernel knows only the protocol of reconcile"),
        ("compiler/lower.py", "import bcc", "Only kernel.loader imports bcc"),
        ("reconcile/plan.py", "from git import Repo", "Only gitops.revisions imports git"),
        ("cli/status.py", "from pyroute2.netlink import nlmsg", "Only kernel.tc imports pyroute2"),
    ],
)
def test_a_planted_import_breaks_its_contract(tmp_path: Path, module: str, line: str, contract: str) -> None:
    shutil.copytree(ROOT / "microseg", tmp_path / "microseg", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    with (tmp_path / "microseg" / module).open("a") as source:
        source.write(f"\n{line}\n")
    run = lint_imports(tmp_path)
    assert run.returncode == 1, run.stdout + run.stderr
    assert re.findall(r"^(.+) BROKEN", run.stdout, re.MULTILINE) == [contract]


def test_the_tree_keeps_its_contracts() -> None:
    run = lint_imports(ROOT)
    assert run.returncode == 0, run.stdout


def test_the_architecture_shows_the_same_layers() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = contracts["importlinter:contract:layers"]["layers"].split("\n")
    _, _, section = (ROOT / "docs" / "architecture.md").read_text().partition("\n## Layers\n")
    shown = re.findall(r"^ {4}(\w+)", section, re.MULTILINE)
    assert shown == [layer.split()[0] for layer in layers if layer]
