"""The fuzzer's corpus in every run; the fuzzer itself, for ten minutes, in the long one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import corpus
from fuzz.one_input import check
from long_runs import is_long
from tree import ROOT

SECONDS = 600


def test_the_corpus_is_borne() -> None:
    contents = list(corpus.seeds())
    assert len(contents) > 100
    for content in contents:
        check(content)


@pytest.mark.timeout(SECONDS * 3)
@pytest.mark.skipif(not is_long(), reason="takes ten minutes: part of make test-all")
def test_ten_minutes_of_fuzzing_find_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", str(SECONDS), str(tmp_path)],
        cwd=ROOT / "tests",
        env=os.environ | {"PYTHONPATH": "."},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Done " in done.stderr
