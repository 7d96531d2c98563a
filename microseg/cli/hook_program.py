"""The command line that git's hooks end with."""

from __future__ import annotations

import sys
from pathlib import Path


def hook_program(folder: str, branch: str | None) -> tuple[str, ...]:
    """Return what an installed hook calls, by the program's whole path: git's PATH may be another."""
    typed = Path(sys.argv[0]).absolute()
    program = typed if typed.name == "microseg" else Path(sys.executable).with_name("microseg")
    words = ["--folder", folder, *(["--branch", branch] if branch else [])]
    return (str(program), "hooks", "run", *words)
