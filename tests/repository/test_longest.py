"""The files that begin first are there."""

from __future__ import annotations

from conftest import LONGEST
from tree import ROOT


def test_files_that_begin_first_are_there() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)
