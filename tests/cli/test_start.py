"""What `lint` needn't import, and so doesn't: a start is too short to be timed on a busy machine."""

from __future__ import annotations

import subprocess
import sys

from tree import ROOT

SLOW = (
    *("bcc", "git", "pygls", "pyroute2", "rich", "watchdog"),
    *("email", "importlib.metadata", "asyncio", "unittest"),
    *("microseg.kernel", "microseg.lsp", "microseg.editing", "microseg.reconcile.transaction"),
    *("microseg.reconcile.records", "microseg.analysis.difference", "microseg.gitops.revisions"),
)
CODE = """
import sys
from microseg.cli import main
main([{command!r}, "policies.d"], standalone_mode=False)
print(*sys.modules)
"""


def imported(command: str) -> set[str]:
    code = CODE.format(command=command)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return set(done.stdout.splitlines()[-1].split())


def test_lint_imports_nothing_it_does_not_need() -> None:
    modules = imported("lint")
    assert "microseg.analysis.lint" in modules
    assert modules.isdisjoint(SLOW)


def test_fmt_imports_no_more() -> None:
    assert imported("fmt").isdisjoint(SLOW)
